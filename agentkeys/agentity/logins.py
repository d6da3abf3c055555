"""How a client gets the tokens of an Agentity account: by a password, or by a pair of tokens."""

from __future__ import annotations

import base64
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeAlias

import attrs

from agentkeys import arguments, sources
from agentkeys.arguments import as_secret
from agentkeys.credentials import Caller, Renewable, Token, checked_token, name_of
from agentkeys.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidArgumentError,
    RequestError,
)
from agentkeys.secret import Secret
from agentkeys.stores import Store
from agentkeys.transport.call.endpoint import Endpoint

__all__ = ["LOGIN", "PasswordLogin", "TokenPair", "Tokens", "basic"]


@attrs.frozen
class Tokens:
    """A short-lived access token (a JWT) and the single-use refresh token that renews it."""

    access_token: Secret
    refresh_token: Secret


LOGIN: Final = Endpoint(
    "POST", "/auth/token", returns=Tokens, idempotent=True, authorization="Basic"
)
# Not idempotent: the old refresh token is dead from then on.
_REFRESH: Final = Endpoint("POST", "/auth/token/refresh", returns=Tokens, authorization=None)
_LEAST: Final = 0.001
"""Seconds that a login is given when its time has just run out: it then ends as late."""


class PasswordLogin(Renewable):
    """Logs in with email and password when a token is needed, and renews it before it ends.

    Args:
        email: the account's; it cannot hold a colon (RFC 7617, section 2).
        password: the account's.
        password_from: the store that holds the password, or its address, instead of *password*.
            The store is read for each login. If the service refuses the login, the store is read
            again, and another password is tried once.

    Attributes:
        account: the email.

    Raises:
        InvalidArgumentError: an argument is empty or cannot be sent, or both or none of *password*
            and *password_from* are given.
        ConfigurationError: the store needs what is not installed.

    """

    def __init__(
        self,
        email: str,
        password: str | Secret | None = None,
        *,
        password_from: Store | str | Secret | None = None,
    ) -> None:
        password = None if password is None else as_secret(password, "password")
        if password_from is not None:
            password_from = sources.sealed(password_from, "password_from")
        super().__init__()
        if (password is None) == (password_from is None):
            raise InvalidArgumentError(
                "give password or password_from, and not both: PasswordLogin(email, password), or"
                " PasswordLogin(email, password_from=address)"
            )
        self.account = _checked_email(email)
        self._store: Store | None = None
        # The password and the Basic credentials. Of a store, those that were read last: they are
        # kept to be masked, and are not sent again.
        self._known: tuple[Secret, ...] = ()
        if password is not None:
            self._known = password, basic(email, password)
        elif password_from is not None:
            self._store = sources.opened(password_from, "password_from")
        self._refresh_token: Secret | None = None

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        """Refresh the token; log in if there is none to refresh, or that fails."""
        end = time.monotonic() + timeout
        # Half of the time, so that a refresh that is never answered leaves enough for the login.
        tokens = await self._refreshed(caller, timeout / 2) or await self._logged_in(caller, end)
        self._refresh_token = tokens.refresh_token
        return Token.of_jwt(tokens.access_token)

    def secrets(self) -> Iterable[Secret]:
        """Return the password, as it is and as it is sent, and the tokens."""
        yield from (*super().secrets(), *self._known)
        if self._refresh_token is not None:
            yield self._refresh_token

    async def _logged_in(self, caller: Caller, end: float) -> Tokens:
        """Log in. If the store holds another password than the one that was refused, do it again.

        Args:
            caller: makes the call.
            end: when it must be done, in seconds of `time.monotonic`.

        """
        sent = await self._authorization()
        try:
            return await _log_in(caller, sent, end)
        except AuthenticationError as error:
            if self._store is None:
                raise
            refusal = error
        if await self._authorization() == sent:
            try:
                raise refusal
            finally:
                del refusal  # or error, traceback and this frame would keep each other alive
        return await _log_in(caller, self._known[-1], end)

    async def _authorization(self) -> Secret:
        """Return what to log in with; a store is read each time."""
        if self._store is not None:
            password = await sources.secret_in(self._store, "password")
            pair = _encoded(self.account, password)
            if pair is None:
                place = self._store.describe()
                raise ConfigurationError(
                    f"the password in {place} holds a lone surrogate, which cannot be sent"
                )
            self._known = password, pair
        return self._known[-1]

    async def _refreshed(self, caller: Caller, timeout: float) -> Tokens | None:
        # Single-use: whatever comes of it, this token is not sent again.
        refresh_token, self._refresh_token = self._refresh_token, None
        if refresh_token is None:
            return None
        try:
            return await _refresh(caller, refresh_token, timeout)
        except RequestError:
            return None


OnRenewal: TypeAlias = Callable[[Tokens], Awaitable[object] | None]
"""Gets each new pair; what it raises ends the call that waits for it."""


class TokenPair(Renewable):
    """Starts from a pair of tokens, for whoever must not hold the password.

    Args:
        access_token: the JWT.
        refresh_token: single-use: once it is used, only the pair that it gave is good.
        on_renewal: called with each new pair before it is used, so that it can be kept; a function
            or a coroutine function. What it raises ends the call, and the same pair is offered to
            it again at the next one. It cannot make calls by the client that waits for it.

    Raises:
        ConfigurationError: a token is empty or holds white space.

    """

    def __init__(
        self,
        access_token: str | Secret,
        refresh_token: str | Secret,
        *,
        on_renewal: OnRenewal | None = None,
    ) -> None:
        access_token = as_secret(access_token, "access_token")
        refresh_token = as_secret(refresh_token, "refresh_token")
        checked_token(refresh_token, "refresh token")
        super().__init__(Token.of_jwt(checked_token(access_token, "access token")))
        # That of the first token, for those that follow may not tell that they are its own.
        self.account = name_of(access_token)
        self._tokens = Tokens(access_token, refresh_token)
        self._unannounced: Tokens | None = None
        self._on_renewal = on_renewal

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        """Refresh the token, and hand the new pair to `on_renewal` before it is used."""
        tokens = self._unannounced
        if tokens is None:
            tokens = await _refresh(caller, self._tokens.refresh_token, timeout)
        self._unannounced = tokens
        await self._announce(tokens)
        self._tokens, self._unannounced = tokens, None
        return Token.of_jwt(tokens.access_token)

    def secrets(self) -> Iterable[Secret]:
        """Return the tokens."""
        pairs = (self._tokens, self._unannounced or self._tokens)
        return [token for pair in pairs for token in (pair.access_token, pair.refresh_token)]

    async def _announce(self, tokens: Tokens) -> None:
        if self._on_renewal is not None:
            kept = self._on_renewal(tokens)
            if inspect.isawaitable(kept):
                await kept


async def _log_in(caller: Caller, authorization: Secret, end: float) -> Tokens:
    left = max(end - time.monotonic(), _LEAST)
    tokens: Tokens = await caller.call(LOGIN, authorization=authorization, timeout=left)
    return tokens


async def _refresh(caller: Caller, refresh_token: Secret, timeout: float) -> Tokens:
    tokens: Tokens = await caller.call(
        _REFRESH, json={"refreshToken": refresh_token}, timeout=timeout
    )
    return tokens


def _checked_email(email: object) -> str:
    email = arguments.text("email", email)
    if ":" in email:
        raise InvalidArgumentError("email holds a colon, with which nobody can log in (RFC 7617)")
    return email


def basic(email: str, password: Secret) -> Secret:
    """Return the credentials of RFC 7617, in UTF-8."""
    email = _checked_email(email)
    if not password:
        raise InvalidArgumentError("password is empty")
    pair = _encoded(email, password)
    if pair is None:
        raise InvalidArgumentError("password holds a lone surrogate, which cannot be sent")
    return pair


def _encoded(email: str, password: Secret) -> Secret | None:
    try:
        return Secret(base64.b64encode(f"{email}:{password.reveal()}".encode()).decode())
    except UnicodeEncodeError:
        return None
