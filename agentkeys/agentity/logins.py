"""Get the access token of an Agentity account, from a password or from a pair of tokens."""

from __future__ import annotations

import base64
import contextlib
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

__all__ = ["LOGIN", "Login", "PasswordLogin", "TokenPair", "Tokens", "basic"]


@attrs.frozen
class Tokens:
    """A short-lived access token (a JWT) and the single-use refresh token that renews it."""

    access_token: Secret
    refresh_token: Secret


LOGIN: Final = Endpoint(
    "POST", "/auth/token", returns=Tokens, idempotent=True, authorization="Basic"
)
# Not idempotent: a refresh token is valid once.
_REFRESH: Final = Endpoint("POST", "/auth/token/refresh", returns=Tokens, authorization=None)
_LEAST: Final = 0.001
"""Seconds that a login gets if no time is left: it then fails with the deadline's error."""


class Login(Renewable):
    """Credentials that log in; the tokens of one service are sent to no other one."""

    def __init__(self) -> None:
        super().__init__()
        self._base_url: str | None = None

    def bind(self, base_url: str) -> None:
        """Take the address of the first client; refuse a client of another one."""
        if self._base_url not in {None, base_url}:
            raise ConfigurationError(
                f"this {type(self).__name__} is used by a client of {self._base_url}, and its"
                f" tokens would be sent to {base_url}: make another one for each base URL"
            )
        self._base_url = base_url


class PasswordLogin(Login):
    """Log in with email and password when a token is needed, and renew the token before it expires.

    Args:
        email: the account's email; it must not contain a colon (RFC 7617, section 2).
        password: the account's password.
        password_from: the store that holds the password, or its address, instead of *password*. The
            store is read for each login. If the service rejects the login, the store is read again;
            if it now holds another password, the login is retried once.

    Attributes:
        account: the email.

    Raises:
        InvalidArgumentError: an argument is empty or cannot be sent, or both or none of *password*
            and *password_from* are given.
        ConfigurationError: a dependency of the store is not installed.
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
        # The password and the Basic credentials. If a store holds the password: the pair that was
        # read last. It is kept to be masked; each login reads the store again.
        self._known: tuple[Secret, ...] = ()
        if password is not None:
            self._known = password, basic(email, password)
        elif password_from is not None:
            self._store = sources.opened(password_from, "password_from")
        self._refresh_token: Secret | None = None

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        """Refresh the token; log in if there is no refresh token, or if the refresh fails."""
        # A refresh token is valid once, so this one is not sent again, whatever happens.
        refresh_token, self._refresh_token = self._refresh_token, None
        tokens = await self.tokens(caller, refresh_token, timeout)
        self._refresh_token = tokens.refresh_token
        return Token.of_jwt(tokens.access_token)

    async def tokens(self, caller: Caller, refresh_token: Secret | None, timeout: float) -> Tokens:
        """Return new tokens; log in if there is no refresh token, or if the refresh fails."""
        end = time.monotonic() + timeout
        if refresh_token is not None:
            # Half of the time, so that enough is left for the login if the refresh gets no answer.
            with contextlib.suppress(RequestError):
                return await _refresh(caller, refresh_token, timeout / 2)
        return await self._logged_in(caller, end)

    async def password(self) -> Secret:
        """Return the last password; read the store if there is none yet."""
        if not self._known:
            await self._authorization()
        return self._known[0]

    def secrets(self) -> Iterable[Secret]:
        """Return the password, plain and as Basic credentials, and the tokens."""
        yield from (*super().secrets(), *self._known)
        if self._refresh_token is not None:
            yield self._refresh_token

    async def _logged_in(self, caller: Caller, end: float) -> Tokens:
        """Log in; if the login is rejected and the store holds another password by now, retry once.

        Args:
            caller: makes the call.
            end: the deadline, in seconds of `time.monotonic`.
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
        """Return the Basic credentials; a store is read each time."""
        if self._store is not None:
            password = await sources.secret_in(self._store, "password")
            pair = _encoded(self.account, password)
            if pair is None:
                place = self._store.describe()
                raise ConfigurationError(
                    f"the password in {place} holds a lone surrogate, which UTF-8 cannot encode"
                )
            self._known = password, pair
        return self._known[-1]


OnRenewal: TypeAlias = Callable[[Tokens], Awaitable[object] | None]
"""Receives each new pair of tokens; an exception from this function ends the waiting call."""


class TokenPair(Renewable):
    """Start from a pair of tokens, for a program that must not have the password.

    Args:
        access_token: the access token, a JWT.
        refresh_token: the refresh token. It is valid once; each refresh returns the next pair.
        on_renewal: a function or coroutine function that stores each new pair before it is used. If
            it raises, the call fails with that exception, and the next call passes it the same pair
            again. It must not make calls with the client that is waiting for it.

    Raises:
        ConfigurationError: a token is empty or contains white space.
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
        # The subject of the first token; a later token may not name the account.
        self.account = name_of(access_token)
        self._tokens = Tokens(access_token, refresh_token)
        self._unannounced: Tokens | None = None
        self._on_renewal = on_renewal

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        """Refresh the token, and pass the new pair to `on_renewal` before it is used."""
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
        raise InvalidArgumentError(
            "email contains a colon: choose an email without one (RFC 7617, section 2)"
        )
    return email


def basic(email: str, password: Secret) -> Secret:
    """Return the Basic credentials of RFC 7617, in UTF-8."""
    email = _checked_email(email)
    if not password:
        raise InvalidArgumentError("password is empty: give it at least one character")
    pair = _encoded(email, password)
    if pair is None:
        raise InvalidArgumentError(
            "password holds a lone surrogate, which UTF-8 cannot encode: remove it"
        )
    return pair


def _encoded(email: str, password: Secret) -> Secret | None:
    try:
        return Secret(base64.b64encode(f"{email}:{password.reveal()}".encode()).decode())
    except UnicodeEncodeError:
        return None
