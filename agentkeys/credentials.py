"""Where a bearer token comes from: the protocol, a fixed token, a renewed token, a stored token."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import json
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, Protocol, overload, runtime_checkable

import attrs

from agentkeys import forks, plain, sources
from agentkeys.arguments import as_secret, unfit
from agentkeys.errors import (
    AgentKeysError,
    ClientClosedError,
    ConfigurationError,
    DeadlineExceededError,
)
from agentkeys.secret import Secret
from agentkeys.stores import Store

__all__ = ["BearerToken", "Caller", "Credentials", "Renewable", "StoredToken", "Token"]

# A token is renewed when this share of its lifetime is left, but no more than a minute, so that it
# does not expire while a request is sent.
_MARGIN: Final = 0.1
_LONGEST_MARGIN: Final = 60.0
# Seconds between two checks that the loop of the thread that renews the token still runs.
_LOOK_AGAIN: Final = 1.0
# Errors that end a renewal for the call that makes it, but not for the calls that wait for it.
_LEADERS_OWN: Final = (DeadlineExceededError, ClientClosedError)


class Caller(Protocol):
    """Makes a call for credentials that fetch a token from the service: a session."""

    @property
    def base_url(self) -> str:
        """Where the service is, without a trailing slash."""

    async def call(
        self,
        endpoint: Any,  # an Endpoint[T], for a T; the transport imports this module
        *,
        json: Mapping[str, object] | None = None,
        authorization: Secret | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Make one call; see `agentkeys.transport.session.Session.call`."""


@runtime_checkable
class Credentials(Protocol):
    """Where a bearer token comes from. Implement it for a source of your own, e.g. a vault."""

    def current(self) -> Secret | None:
        """Return the token to send now, or None if it must be renewed first."""

    async def renew(self, caller: Caller, refused: Secret | None, timeout: float) -> Secret:
        """Return a token other than *refused*, or *refused* itself if there is no other token.

        Args:
            caller: makes the call that fetches a token.
            refused: the token that the service answered with 401, or None if there was none.
            timeout: seconds that the caller can wait; `math.inf` means no limit.
        """

    def secrets(self) -> Iterable[Secret]:
        """Return all values that must never be shown: tokens, a password."""


class BearerToken:
    """A fixed token: an API key, or an access token from elsewhere."""

    def __init__(self, token: str | Secret) -> None:
        self._token = checked_token(as_secret(token, "token"), "bearer token")

    def current(self) -> Secret:
        """Return the token."""
        return self._token

    async def renew(self, caller: Caller, refused: Secret | None, timeout: float) -> Secret:  # noqa: ARG002  # the protocol's
        """Return the token: a fixed token cannot be renewed."""
        return self._token

    def secrets(self) -> Iterable[Secret]:
        """Return the token."""
        return (self._token,)


@attrs.frozen
class Token:
    """An access token.

    Attributes:
        value: the token.
        renew_at: the time to renew it, in seconds of `time.monotonic`.
        is_kept: whether it was fetched earlier, perhaps by another process. If the service refuses
            such a token, the call renews it, even if it has just received the token.
    """

    value: Secret
    renew_at: float = math.inf
    is_kept: bool = False

    @classmethod
    def of_jwt(cls, value: Secret, *, age: float | None = None) -> Token:
        """Read the lifetime from a JWT, unverified; without it, only a 401 shows the expiry.

        The age counts from now, on the monotonic clock, so that a wrong wall clock does no harm
        (RFC 7519, sections 4.1.4 and 4.1.6).

        Args:
            value: the JWT.
            age: seconds since the token was fetched, if it was kept since then.

        """
        is_kept = age is not None
        lifetime = _lifetime(value)
        if lifetime is None:
            return cls(value, is_kept=is_kept)
        margin = min(lifetime * _MARGIN, _LONGEST_MARGIN)
        return cls(value, time.monotonic() + lifetime - margin - (age or 0.0), is_kept)


class Renewable(forks.Unpicklable, ABC):
    """A token that is fetched when there is none, before it expires, and when it is rejected.

    Any number of calls, in any number of event loops, wait for a single fetch.
    """

    def __init__(self, token: Token | None = None) -> None:
        self._token = token
        self._flight: _Flight | None = None
        # Held for a few instructions and never across an await, so that several loops can share it.
        self._lock = threading.Lock()
        forks.watch(self)

    def bind(self, base_url: str) -> None:
        """Check that a client of this address may use these credentials; a login overrides it.

        Args:
            base_url: where the client sends the token.

        Raises:
            ConfigurationError: the token is that of another service.

        """

    @abstractmethod
    async def fetch(self, caller: Caller, timeout: float) -> Token:
        """Fetch a new token; never called twice at the same time."""

    def secrets(self) -> Iterable[Secret]:
        """Return the token; a subclass adds its other secrets."""
        token = self._token
        return () if token is None else (token.value,)

    @property
    def last(self) -> Secret | None:
        """The last token, or None if there is none yet."""
        return None if self._token is None else self._token.value

    def is_kept(self, token: Secret) -> bool:
        """Return whether *token* is the last token, and was fetched earlier than for this call."""
        last = self._token
        return last is not None and last.is_kept and last.value is token

    def current(self) -> Secret | None:
        """Return the token, or None if there is none yet or it is about to expire."""
        token = self._token
        return token.value if token is not None and time.monotonic() < token.renew_at else None

    async def renew(self, caller: Caller, refused: Secret | None, timeout: float) -> Secret:
        """Fetch a new token, or wait for the call that is already fetching one."""
        while True:
            with self._lock:
                current = self.current()
                if current is not None and current is not refused:
                    return current
                flight, leads = self._join()
            if leads:
                # The task is separate: if the call that started it is cancelled, the answer to a
                # single-use refresh token must still arrive, or the session is lost.
                flight.task = asyncio.create_task(self._fetched(flight, caller, timeout))
                flight.task.add_done_callback(partial(self._land, flight))
            landed = await flight.landing()
            if isinstance(landed, Token):
                return landed.value
            if leads or not isinstance(landed, _LEADERS_OWN):
                # A copy: other calls raise it too, each with its own traceback and `applied`.
                raise copy.copy(landed) if isinstance(landed, AgentKeysError) else landed
            # The renewing call's time is up, or its client or loop has closed. Ours has not: take
            # over.

    def begin_afresh(self) -> object:
        """Drop, in a forked child, a renewal that the parent is making."""
        inherited = (self._lock, self._flight)
        self._lock, self._flight = threading.Lock(), None
        return inherited

    def _join(self) -> tuple[_Flight, bool]:
        flight = self._flight
        if flight is not None and flight is _aboard.get():
            raise ConfigurationError(
                "the renewal of the token made a call with the client that waits for the"
                " renewal: use another client there, with its own credentials"
            )
        if flight is not None and flight.loop.is_running():
            return flight, False
        self._flight = flight = _Flight(asyncio.get_running_loop())
        return flight, True

    async def _fetched(self, flight: _Flight, caller: Caller, timeout: float) -> Token:
        _aboard.set(flight)
        limit = asyncio.timeout(None if timeout == math.inf else timeout)
        try:
            async with limit:  # a limit for all that `fetch` does
                token = await self.fetch(caller, timeout)
                checked_token(token.value, "access token that the service gave")
                return token
        except TimeoutError:
            if not limit.expired():
                raise
        raise DeadlineExceededError(f"the token was not renewed within {timeout:g} s")

    def _land(self, flight: _Flight, task: asyncio.Task[Token]) -> None:
        # A callback of the task, because a task that is cancelled before its first step runs no
        # code. The garbage collector must never run this method, because it takes a lock.
        landed: Token | BaseException | None
        if task.cancelled():
            landed = DeadlineExceededError("the token's renewal was cancelled: repeat the call")
        else:
            landed = task.exception() or task.result()
        with self._lock:
            if isinstance(landed, Token):
                self._token = landed
            if self._flight is flight:
                self._flight = None
        flight.future.set_result(landed)


class StoredToken(Renewable):
    """A token that a store holds: an Agentry key, or an access token of Agentity.

    The store is read when the first token is needed, when a JWT is about to expire, and when the
    service rejects the token. If the store still holds the rejected token, the call fails with
    `AuthenticationError`.

    Args:
        store: the store, or its address, like ``keyring:agentry#ops``.

    Attributes:
        address: the address of the store.

    Raises:
        InvalidArgumentError: *store* is neither a store nor an address.
        ConfigurationError: a dependency of the store is not installed.
    """

    def __init__(self, store: Store | str | Secret) -> None:
        store = sources.sealed(store, "store")
        super().__init__()
        self._store = sources.opened(store, "store")
        self.address = self._store.address

    def forget(self) -> None:
        """Read the store again at the next call, e.g. because it holds a new token."""
        with self._lock:
            self._token = None

    async def fetch(self, caller: Caller, timeout: float) -> Token:  # noqa: ARG002  # the protocol's
        """Read the store."""
        token = await sources.secret_in(self._store, "token")
        last = self.last
        if last is not None and last == token:
            token = last  # the same object, so that `renew` reports no other token
        return Token.of_jwt(checked_token(token, f"token in {self._store.describe()}"))


class _Flight:
    """A renewal in progress, which calls in any loop can wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.task: asyncio.Task[Token] | None = None  # a loop keeps weak references only
        self.future: Future[Token | BaseException] = Future()
        # Without this, a waiting call that is cancelled would cancel the future for all the others.
        self.future.set_running_or_notify_cancel()

    async def landing(self) -> Token | BaseException:
        """Wait for the result, or until the loop of the renewal has stopped."""
        future = asyncio.wrap_future(self.future)
        while not future.done() and self.loop.is_running():
            await asyncio.wait([future], timeout=_LOOK_AGAIN)
        return future.result() if future.done() else DeadlineExceededError("its loop has stopped")


# The renewal that the running code is part of. A context variable and not an argument: code of
# others, such as `on_renewal`, runs in between.
_aboard: Final[ContextVar[_Flight | None]] = ContextVar("renewal", default=None)


def names_of(credentials: Credentials) -> tuple[str, ...]:
    """Return the names by which the account of *credentials* is known; none is a secret.

    These are the credentials' `account`, and the subject of their token (RFC 7519, 4.1.2: unique
    for its issuer), but not the email in a token, which several accounts may share. If neither is
    known, the name is the digest of the token.
    """
    called = getattr(credentials, "account", None)
    names = [plain.text(called)] if isinstance(called, str) and called else []
    token = credentials.last if isinstance(credentials, Renewable) else credentials.current()
    if isinstance(token, Secret):
        subject = _subject(token)
        names += [subject] if subject or names else [name_of(token)]
    return tuple(name for name in dict.fromkeys(names) if name)


def name_of_digest(digest: str) -> str:
    """Return the account name for a token with this SHA-256 digest."""
    return f"sha256:{digest[:16]}"


def name_of(token: Secret) -> str:
    """Return the subject of a token, or its digest if it has no subject."""
    return _subject(token) or name_of_digest(_digest(token))


def _subject(token: Secret) -> str:
    subject = _claims(token).get("sub")
    return subject if isinstance(subject, str) else ""


def checked_token(token: Secret, name: str) -> Secret:
    """Return *token* if it fits a header (RFC 9110, 5.5), or raise `ConfigurationError`."""
    if _fits_a_header(token):
        return token
    raise ConfigurationError(
        f"the {name} is empty or holds white space or characters that no token has: set it to the"
        " token alone"
    )


def _fits_a_header(token: Secret) -> bool:
    value = token.reveal()
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


def _lifetime(jwt: Secret) -> float | None:
    claims = _claims(jwt)
    try:
        lifetime = float(claims["exp"]) - float(claims["iat"])
    except (ValueError, TypeError, LookupError, OverflowError):
        return None
    return lifetime if 0 < lifetime < math.inf else None


def _claims(jwt: Secret) -> dict[str, Any]:
    """Return the claims of a JWT, unverified; an empty dict if *jwt* is not a JWT."""
    try:
        payload = jwt.reveal().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, LookupError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _digest(token: Secret) -> str:
    # The token is random, so its digest cannot be guessed by trying values.
    return hashlib.sha256(token.reveal().encode()).hexdigest()


@overload
def only_secret(given: object) -> Secret: ...
@overload
def only_secret(given: object, *, or_none: bool) -> Secret | None: ...
def only_secret(given: object, *, or_none: bool = False) -> Secret | None:
    """Return *given* if it is a Secret, else a stand-in whose `reveal` raises an error."""
    if isinstance(given, Secret):
        return given
    if given is None and or_none:
        return None
    kind = "None" if given is None else type(given).__name__
    return unfit(
        ConfigurationError, f"the token that the credentials returned is not a Secret but {kind}"
    )
