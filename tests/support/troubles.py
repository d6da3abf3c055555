"""Ways to every error of the tree, by calls on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import attrs
from holding import Holding, Telling
from samples import AT_ONCE
from sentinels import (
    ACCESS,
    AGENTITY_KEY,
    AGENTRY_KEY,
    BASIC,
    EMAIL,
    IN_URL,
    NEW_KEY,
    PASSWORD,
    PROXY_PASSWORD,
    REFRESH,
    SAID,
    TOKEN,
    found,
)
from wire import Reply, Seen, answer, close, hang, raw, reset

from agentkeys import (
    PasswordLogin,
    Secret,
    StoredToken,
    TokenPair,
    agentity,
    agentry,
    errors,
    issue,
    rotate,
    sync,
)
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import Entry, Plan, Replaced, Retiring
from agentkeys.stores import MemoryStore

MODULES: Final = {
    "async": SimpleNamespace(
        **{**vars(agentity), **vars(agentry), "issue": issue, "rotate": rotate}
    ),
    "blocking": sync,
}
"""Where the clients are, and what goes with them."""


@attrs.frozen
class Ready:
    """A client, the module that it is of, and the settings that it has."""

    client: Any
    module: Any
    settings: dict[str, Any]


Step = Callable[[Ready], Any]
"""Something to do; what it returns is awaited if it can be."""

_TOKENS: Final = answer(200, {"accessToken": ACCESS, "refreshToken": REFRESH})
_EMPTY: Final = answer(200, {"apiKeys": [], "api_keys": []})
_USED: Final = answer(
    200,
    {
        "api_keys": [
            {
                "api_key_id": "key_7",
                "name": "x",
                "prefix": "ag_",
                "created_at": "2020-01-01T00:00:00Z",
                "used_at": "2999-12-31T00:00:00Z",
            }
        ]
    },
)
_TOLD: Final = {"message": SAID, "code": SAID, "errors": [{SAID: [SAID, {"deep": SAID}]}, SAID]}
_SAYS: Final = {"X-Request-Id": SAID, "Location": IN_URL, "Retry-After": "3600"}


def create(ready: Ready) -> Any:
    return ready.client.api_keys.create("x")


def list_(ready: Ready) -> Any:
    return ready.client.api_keys.list().collect()


def close_(ready: Ready) -> Any:
    return ready.client.close()


def register(ready: Ready) -> Any:
    return ready.module.register(EMAIL, PASSWORD, name="Me", **ready.settings)


def log_in(ready: Ready) -> Any:
    return ready.module.login(EMAIL, PASSWORD, **ready.settings)


class Full(MemoryStore):
    """A store that takes no secret."""

    def __init__(self, error: errors.StoreError) -> None:
        super().__init__()
        self._error = error

    async def write(self, *_: object, **__: object) -> Any:
        raise self._error


def issuing(error: errors.StoreError | None = None, **how: Any) -> Step:
    """Issue a key into a store that is full, or has room."""

    def step(ready: Ready) -> Any:
        store = Full(error) if error else MemoryStore()
        return ready.module.issue(ready.client.api_keys, "x", into=store, **how)

    return step


def rotating(prepare: Callable[[Ready, MemoryStore], object] = lambda *_: None) -> Step:
    """Replace a key of which the journal knows no more than *prepare* writes into it."""

    def step(ready: Ready) -> Any:
        store = MemoryStore()
        prepare(ready, store)
        return ready.module.rotate(ready.client.api_keys, "x", into=store)

    return step


def an_entry_that_nobody_can_read(_: Ready, __: MemoryStore) -> None:
    FileJournal().ledger().mkdir(parents=True, mode=0o700, exist_ok=True)
    (FileJournal().ledger() / "0123456789abcdef.key").write_text("{}\n")


def a_rotation_that_is_not_over(
    ready: Ready, store: MemoryStore, key_id: int | str = 7, longest: float = 420.0
) -> None:
    replaced = Replaced(key_id, "x", "0123456789abcdef", 60.0, longest)
    plan = Plan(ready.client.api_keys.scope, "x", store=store.address, replaces=replaced)
    state = Retiring(8, "a digest", now(), now(), announced=True)
    FileJournal().begin(Entry(plan, "x~aaaaaa", state)).release()


def a_rotation_that_never_ends(ready: Ready, store: MemoryStore) -> None:
    a_rotation_that_is_not_over(ready, store, "key_7", 0.0)


@attrs.frozen
class Service:
    """A service, and how its client is made here.

    Attributes:
        in_play: the names of the secrets that its client holds or sends.
        credentials: by what it is let in.
        new_key: the name of the secret that it tells.
        holds: what its client is given.
    """

    name: str
    credentials: str
    make: Callable[[Any, dict[str, Any]], Any]
    in_play: frozenset[str]
    new_key: str
    holds: tuple[str, ...]


_PROXY: Final = frozenset({"password of the proxy", "Basic header of the proxy"})
_LOGIN: Final = frozenset({"password", "Basic header"})
_PAIR: Final = frozenset({"access token", "refresh token"})
AGENTITY: Final = Service(
    "agentity",
    "password",
    lambda module, given: module.AgentityClient(PasswordLogin(EMAIL, PASSWORD), **given),
    _PROXY | _LOGIN | _PAIR,
    "new key of Agentity",
    (PASSWORD, BASIC),
)
BY_PAIR: Final = attrs.evolve(
    AGENTITY,
    credentials="pair",
    make=lambda module, given: module.AgentityClient(TokenPair(ACCESS, REFRESH), **given),
    in_play=_PROXY | _PAIR,
    holds=(ACCESS, REFRESH),
)
BY_STORED_PASSWORD: Final = attrs.evolve(
    AGENTITY,
    credentials="stored password",
    make=lambda module, given: module.AgentityClient(
        PasswordLogin(EMAIL, password_from=Holding(PASSWORD)), **given
    ),
)
AGENTRY: Final = Service(
    "agentry",
    "token",
    lambda module, given: module.AgentryClient(TOKEN, **given),
    _PROXY | {"bearer token"},
    "new key of Agentry",
    (TOKEN,),
)
BY_STORED_TOKEN: Final = attrs.evolve(
    AGENTRY,
    credentials="stored token",
    make=lambda module, given: module.AgentryClient(StoredToken(Holding(TOKEN)), **given),
)


@attrs.frozen(kw_only=True)
class Trouble:
    """One way to fail.

    Attributes:
        error: what is raised, and nothing more general; None if all goes well.
        service: whose client is asked.
        steps: what is asked of it.
        reply: what a POST or a DELETE is answered with; a GET of keys, too, if `lists`.
        login: what a login is answered with.
        tells: whether the answer repeats every secret, and a new key.
        interrupted: what is done to the call when it has arrived: "close" the client, "cancel" it.
        settings: of the client.
        ways: the clients that come to it.
        by_command: whether the command line comes to it in the same way.
        salvages: whether the new key's secret is saved from the answer.
    """

    error: type[BaseException] | None
    service: Service
    steps: tuple[Step, ...] = (create,)
    reply: Reply = close
    lists: bool = False
    login: Reply = _TOKENS
    tells: bool = False
    interrupted: str | None = None
    settings: dict[str, Any] = attrs.field(factory=dict)
    ways: tuple[str, ...] = ("async", "blocking")
    by_command: bool = True
    salvages: bool = False

    @property
    def in_play(self) -> frozenset[str]:
        """The names of the secrets that cross the socket, or lie in the client's hands."""
        told = {self.service.new_key, "apiKey= in a URL"} if self.tells else frozenset[str]()
        return self.service.in_play | told

    @property
    def is_a_commands(self) -> bool:
        """Whether a command may come to it: none takes a pair of tokens."""
        return self.by_command and self.service.credentials != "pair"

    def environment(self) -> dict[str, str]:
        """Return the variables in which a command finds its credentials."""
        if not self.service.credentials.startswith("stored"):
            return {"AGENTITY_PASSWORD": PASSWORD, "AGENTRY_API_KEY": TOKEN}
        stored = {"AGENTITY_PASSWORD_FROM": PASSWORD, "AGENTRY_API_KEY_FROM": TOKEN}
        for name, secret in stored.items():
            asyncio.run(MemoryStore(name).write(Secret(secret)))
        return {name: f"memory:{name}" for name in stored}

    def answer(self, seen: Seen) -> Reply:
        """Answer as the proxy, and as the service behind it."""
        if "/auth/token" in seen.target:
            return self.login
        return _EMPTY if seen.method == "GET" and not self.lists else self.reply

    def ready(self, way: str, proxy: str) -> Ready:
        """Make a client of one kind, behind a proxy that wants a password."""
        module = MODULES[way]
        given = {
            "base_url": f"http://{self.service.name}.test",
            "allow_http": True,
            "proxy": proxy.replace("://", f"://user:{PROXY_PASSWORD}@"),
            "retry": AT_ONCE,
            **self.settings,
        }
        return Ready(self.service.make(module, given), module, given)


def _of(service: Service) -> dict[str, Trouble]:
    """Return what can go wrong with a call on either service."""
    statuses = {
        f"status {status}": Trouble(
            service=service, error=kind, reply=answer(status, _TOLD, _SAYS), tells=True
        )
        for status, kind in _STATUSES.items()
    }
    unusable = {
        "a mistyped answer": answer(201, {**NEW_KEY, "id": "42", "api_key_id": 42}),
        "a list": answer(201, [NEW_KEY]),
        "a torn document": answer(
            201, f'{{"key": "{AGENTITY_KEY}", "api_key": "{AGENTRY_KEY}", "{SAID}'.encode()
        ),
        "a secret for a time": answer(201, {**NEW_KEY, "createdAt": SAID, "created_at": SAID}),
    }
    return {
        **statuses,
        **{
            name: Trouble(
                service=service, error=errors.DecodeError, reply=reply, tells=True, salvages=True
            )
            for name, reply in unusable.items()
        },
        "closed": Trouble(service=service, error=errors.TransportError, reply=close),
        "reset": Trouble(service=service, error=errors.TransportError, reply=reset),
        "cut short": Trouble(
            service=service,
            error=errors.TransportError,
            reply=answer(201, NEW_KEY, length=9999),
            tells=True,
            salvages=True,
        ),
        "not HTTP": Trouble(
            service=service,
            error=errors.TransportError,
            reply=raw(f"{SAID}{NEW_KEY}\r\n\r\n".encode()),
            tells=True,
        ),
        "no tunnel": Trouble(
            service=attrs.evolve(
                service, in_play=service.in_play & {*_PROXY, *_LOGIN, "bearer token"}
            ),
            error=errors.TransportError,
            settings={"base_url": f"https://{service.name}.test", "allow_http": False},
            login=answer(407, _TOLD, _SAYS),
            reply=answer(407, _TOLD, _SAYS),
            tells=True,
            by_command=False,
        ),
        "no answer": Trouble(
            service=service,
            error=errors.DeadlineExceededError,
            reply=hang,
            settings={"timeout": 0.3},
        ),
        "a wrong argument": Trouble(
            service=service,
            error=errors.InvalidArgumentError,
            steps=(list_, lambda ready: ready.client.api_keys.create("")),
            by_command=False,
        ),
        "a closed client": Trouble(
            service=service,
            error=errors.ClientClosedError,
            steps=(list_, close_, create),
            by_command=False,
        ),
        "closed meanwhile": Trouble(
            service=service,
            error=errors.ClientClosedError,
            steps=(list_,),
            lists=True,
            reply=hang,
            interrupted="close",
            by_command=False,
        ),
        "cancelled": Trouble(
            service=service,
            error=asyncio.CancelledError,
            steps=(list_,),
            lists=True,
            reply=hang,
            interrupted="cancel",
            ways=("async",),
            by_command=False,
        ),
        "issued, and nobody can look": Trouble(
            service=service,
            error=errors.OrphanKeyError,
            steps=(issuing(),),
            lists=True,
            by_command=False,
        ),
        "issued by an exact name, and lost": Trouble(
            service=service,
            error=errors.UncertainCreateError,
            steps=(issuing(exact_name=True),),
            by_command=False,
        ),
        **{
            f"issued, and not stored: {type(error).__name__}": Trouble(
                service=service,
                error=type(error),
                steps=(issuing(error),),
                reply=answer(201, NEW_KEY),
                tells=True,
                by_command=False,
            )
            for error in (
                errors.StoreError("full"),
                errors.StoreConflictError("taken"),
                errors.UncertainStoreError("who knows"),
            )
        },
        **{
            f"not replaced: {error.__name__}": Trouble(
                service=service, error=error, steps=(rotating(prepare),), by_command=False
            )
            for error, prepare in (
                (errors.RotationError, lambda *_: None),
                (errors.RotationInProgressError, a_rotation_that_is_not_over),
                (errors.JournalError, an_entry_that_nobody_can_read),
            )
        },
        "no trouble": Trouble(
            service=service, error=None, reply=answer(201, NEW_KEY), tells=True, salvages=True
        ),
    }


_STATUSES: Final = {
    302: errors.APIError,
    418: errors.APIError,
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.UnprocessableError,
    429: errors.RateLimitError,
    500: errors.ServerError,
}


def _login_that(error: type[BaseException], reply: Reply, service: Service = AGENTITY) -> Trouble:
    return Trouble(service=attrs.evolve(service, in_play=_PROXY | _LOGIN), error=error, login=reply)


def _stored(service: Service, make: Callable[[], Any], secret: str) -> Service:
    """Return a service whose credentials are in a store that is of no use."""
    kind = f"{service.name.title()}Client"
    return attrs.evolve(
        service,
        in_play=frozenset({"bearer token", "password"} & {*found(secret)}),
        make=lambda module, given: getattr(module, kind)(make(), **given),
        holds=(secret,),
    )


TROUBLES: Final[dict[str, Trouble]] = {
    **{
        f"{service.name} by {service.credentials}, {name}": trouble
        for service in (AGENTITY, BY_PAIR, BY_STORED_PASSWORD, AGENTRY, BY_STORED_TOKEN)
        for name, trouble in _of(service).items()
    },
    "agentry, not replaced: a key that is still in use": Trouble(
        service=AGENTRY,
        error=errors.StillInUseError,
        steps=(rotating(a_rotation_that_never_ends),),
        lists=True,
        reply=_USED,
        by_command=False,
    ),
    "agentity, a login that is refused": _login_that(
        errors.AuthenticationError, answer(401, _TOLD, _SAYS)
    ),
    "agentity, a login that is refused with a stored password": _login_that(
        errors.AuthenticationError, answer(401, _TOLD, _SAYS), BY_STORED_PASSWORD
    ),
    **{
        f"{service.name}, {name}": Trouble(service=service, error=error, by_command=False)
        for name, service, error in (
            (
                "a store that says the token",
                _stored(AGENTRY, lambda: StoredToken(Telling(TOKEN)), TOKEN),
                errors.StoreError,
            ),
            (
                "a store that says the password",
                _stored(
                    AGENTITY,
                    lambda: PasswordLogin(EMAIL, password_from=Telling(PASSWORD)),
                    PASSWORD,
                ),
                errors.StoreError,
            ),
            (
                "a store with more than a token",
                _stored(AGENTRY, lambda: StoredToken(Holding(f"{TOKEN} {TOKEN}")), TOKEN),
                errors.ConfigurationError,
            ),
        )
    },
    "agentity, a login that is unreadable": _login_that(
        errors.DecodeError, answer(200, {"accessToken": SAID, "said": SAID})
    ),
    "agentity, a login that is cut off": attrs.evolve(
        _login_that(errors.TransportError, close),
        by_command=False,  # which tries it again, and waits in between
    ),
    "agentity, a login by itself": attrs.evolve(
        _login_that(errors.AuthenticationError, answer(401, _TOLD, _SAYS)),
        steps=(log_in,),
        by_command=False,
    ),
    **{
        f"agentity, {name}": attrs.evolve(
            _login_that(error, close), reply=reply, steps=(register,), by_command=False
        )
        for name, error, reply in (
            ("a registration", errors.ConflictError, answer(409, _TOLD, _SAYS)),
            (
                "an unreadable registration",
                errors.DecodeError,
                answer(201, {"id": 5, "name": SAID}),
            ),
            ("a registration that is cut off", errors.TransportError, close),
        )
    },
    "agentity, a token that is none": _login_that(
        errors.ConfigurationError,
        answer(200, {"accessToken": f"{ACCESS} {SAID}", "refreshToken": REFRESH}),
    ),
    # Which is heard for two seconds more.
    "agentry, a create that is cancelled": Trouble(
        service=AGENTRY,
        error=asyncio.CancelledError,
        reply=hang,
        interrupted="cancel",
        ways=("async",),
        by_command=False,
    ),
    "agentry, a page again": Trouble(
        service=AGENTRY,
        error=errors.PaginationError,
        steps=(list_,),
        lists=True,
        reply=answer(
            200,
            {"api_keys": [], "next_page_token": "again", "said": SAID, "key": NEW_KEY},
            _SAYS,
        ),
        tells=True,
    ),
}
"""Calls that go wrong, and one for each service that does not."""
