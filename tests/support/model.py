"""Both services in memory: what they should answer, worked out without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

ACCESS_SECONDS = 900.0
REFRESH_SECONDS = 30 * 86400.0


class Scope(NamedTuple):
    pod: str | None = None
    inbox: str | None = None

    def holds(self, other: Scope) -> bool:
        """Tell whether the other lies in this one, so that its keys are listed and reached here."""
        return self in {TENANT, other} or (self.inbox is None and self.pod == other.pod)


TENANT = Scope()
POD = Scope("support")
IN_POD = Scope("support", "a/b@acme.to")
INBOX = Scope(None, "demo@agentkeys.local")


class Surface(NamedTuple):
    """A collection of keys as a path shows it."""

    path: str
    scope: Scope
    created: int
    deleted: int
    takes_permissions: bool


SURFACES = [
    Surface("/human/v0/api-keys", TENANT, 201, 204, takes_permissions=False),
    Surface("/human/v0/inboxes/demo%40agentkeys.local/api-keys", INBOX, 201, 204, False),
    Surface("/human/v0/inboxes/a%2Fb%40acme.to/api-keys", IN_POD, 201, 204, False),
    Surface("/agent/v0/api-keys", TENANT, 200, 200, takes_permissions=True),
    Surface("/agent/v0/inboxes/demo@agentkeys.local/api-keys", INBOX, 200, 200, True),
    Surface("/agent/v0/pods/support/api-keys", POD, 200, 200, takes_permissions=True),
]


@dataclass(eq=False)
class Key:
    """A key of Agentry."""

    secret: str
    scope: Scope
    sequence: int
    shown: dict[str, Any]
    is_alive: bool = True

    @property
    def position(self) -> tuple[str, int]:
        return self.shown["created_at"], self.sequence

    def use(self, now: str) -> None:
        self.shown["used_at"] = max(now, self.shown.get("used_at", ""))


@dataclass(eq=False)
class Account:
    """An account of Agentity, its keys by id."""

    password: str
    keys: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(eq=False)
class Login:
    """What all pairs of tokens that came of one login belong to."""

    until: float = 0.0
    is_over: bool = False


@dataclass(eq=False)
class Session:
    """A pair of tokens; the refresh token is good once, unless it is forgotten."""

    account: Account
    login: Login
    access_token: str
    access_expires: float
    refresh_token: str
    refresh_expires: float
    is_used: bool = False
    is_forgotten: bool = False


class Cursor(NamedTuple):
    """A page token, whose listing it is of, and where that goes on."""

    text: str
    scope: Scope
    after: tuple[str, int]


class Page(NamedTuple):
    """The keys of a page, and where to go on, if there are more."""

    keys: list[Key]
    end: tuple[str, int] | None


class Model:
    """What there is."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.sessions: list[Session] = []
        self.keys: list[Key] = []
        self.cursors: list[Cursor] = []

    def log_in(self, account: Account, pair: dict[str, str], now: float) -> None:
        """Take the first pair of tokens of a login in; what has expired is forgotten."""
        for session in self.sessions:
            session.is_forgotten |= session.refresh_expires <= now
            session.login.is_over |= session.login.until <= now
        self.add_session(account, Login(), pair, now)

    def add_session(self, account: Account, login: Login, pair: dict[str, str], now: float) -> None:
        """Take a new pair of tokens in."""
        session = Session(
            account,
            login,
            pair["accessToken"],
            int(now) + ACCESS_SECONDS,
            pair["refreshToken"],
            now + REFRESH_SECONDS,
        )
        login.until = max(login.until, session.refresh_expires, now + ACCESS_SECONDS)
        self.sessions.append(session)

    def owner(self, key_id: int) -> Account | None:
        return next((each for each in self.accounts.values() if key_id in each.keys), None)

    def page(self, scope: Scope, limit: int, after: tuple[str, int] = ("9999", 0)) -> Page:
        """Return a page of the keys of a scope and what lies in it, newest first."""
        listed = [key for key in self.keys if key.is_alive and scope.holds(key.scope)]
        rest = sorted((key.position, key) for key in listed if key.position < after)[::-1]
        keys = [key for _, key in rest[:limit]]
        return Page(keys, keys[-1].position if len(rest) > limit else None)


def iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
