"""Agentity, whole: its records, its endpoints, its login, its client.

Agentity gives an agent an identity. An account has API keys, which an agent presents instead of the
account's email and password. Facts are from Agentity's documentation, the pages Authentication and
API keys.
"""

from __future__ import annotations

import base64
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Final, TypeAlias, Unpack

import attrs

from agentkeys import arguments
from agentkeys.arguments import as_secret
from agentkeys.credentials import (
    BearerToken,
    Caller,
    Credentials,
    Renewable,
    StoredToken,
    Token,
    checked_token,
    name_of,
)
from agentkeys.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidArgumentError,
    RequestError,
)
from agentkeys.keys import Record, listed
from agentkeys.paging import Page, Pager
from agentkeys.secret import Secret
from agentkeys.sources import from_environment, secret_in
from agentkeys.stores import Store, open_store
from agentkeys.transport.call.endpoint import Endpoint
from agentkeys.transport.client import Client, ClientSettings, seal
from agentkeys.transport.collection import Keys, Place
from agentkeys.transport.reading.convert import Reader, camel_case
from agentkeys.transport.settings import Service, variable

__all__ = [
    "Account",
    "AgentityClient",
    "ApiKey",
    "ApiKeys",
    "NewApiKey",
    "PasswordLogin",
    "TokenPair",
    "Tokens",
    "login",
    "register",
]


@attrs.frozen
class ApiKey(Record):
    """A key of an account, without its secret.

    Attributes:
        id: what it is deleted by.
        nickname: unique among the account's keys.
        created_at: when it was made.
        updated_at: when it was changed last.
    """

    id: int
    nickname: str
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        """The nickname."""
        return self.nickname


@attrs.frozen
class NewApiKey(ApiKey):
    """A key as it is made. Agentity tells `key`, the secret, this once and never again."""

    key: Secret

    @property
    def secret(self) -> Secret:
        """The secret, `key`."""
        return self.key

    def listed(self) -> ApiKey:
        """Return the key as it is listed: without its secret."""
        return listed(self, ApiKey)


@attrs.frozen
class Account(Record):
    """An account as `register` opened it; `id` is a UUID."""

    id: str
    name: str
    email: str
    created_at: datetime
    updated_at: datetime


@attrs.frozen
class Tokens:
    """A short-lived access token (a JWT) and the single-use refresh token that renews it."""

    access_token: Secret
    refresh_token: Secret


@attrs.frozen
class _Listing:
    api_keys: tuple[ApiKey, ...]


_PLACE: Final = Place(Endpoint("POST", "/auth/api-keys", returns=NewApiKey))
_LIST: Final = Endpoint("GET", "/auth/api-keys", returns=_Listing, idempotent=True)
_DELETE: Final = Endpoint[None](
    "DELETE",
    "/auth/api-keys/{id}",
    returns=None,
    idempotent=True,
    # Agentity's documentation, Delete an API key: so it answers for the key of another account.
    advice={401: "check the credentials, and that the key is one of this account's"},
)
_LOGIN: Final = Endpoint(
    "POST", "/auth/token", returns=Tokens, idempotent=True, authorization="Basic"
)
# Not idempotent: the old refresh token is dead from then on.
_REFRESH: Final = Endpoint("POST", "/auth/token/refresh", returns=Tokens, authorization=None)
_REGISTER: Final = Endpoint("POST", "/auth/register", returns=Account, authorization="Basic")


class ApiKeys(Keys[NewApiKey]):
    """The keys of the account that is logged in."""

    async def create(
        self,
        nickname: str | None = None,
        *,
        name: str | None = None,
        timeout: float | None = None,
    ) -> NewApiKey:
        """Make a key; its secret, `key`, is told this once.

        A create that is cancelled on its way runs on for at most two seconds, and deletes the key
        that nobody will hold; see `agentkeys.issue` for one whose secret is stored.

        Args:
            nickname: unique among the account's keys.
            name: the same, as other services call it; give one of the two.
            timeout: seconds for the whole call; the client's own if None.

        Raises:
            ConflictError: the nickname is taken.
            RequestError: see its `applied` before doing it again; the key may exist.

        """
        if (nickname is None) == (name is None):
            raise InvalidArgumentError("give the nickname of the new key, once: create('my-key')")
        nickname = arguments.text("nickname", name if nickname is None else nickname)
        return await self._make(nickname, {"nickname": nickname}, timeout)

    def list(self, *, timeout: float | None = None) -> Pager[ApiKey]:
        """List the account's keys; Agentity gives all of them as one page.

        Args:
            timeout: seconds for the page; the client's own if None.

        """
        seconds = None if timeout is None else arguments.timeout(timeout)

        async def fetch(_: str | None) -> Page[ApiKey]:
            listing = await self._session.call(_LIST, timeout=seconds)
            return Page(listing.api_keys)

        return Pager(fetch)

    async def delete(self, key_id: int, *, timeout: float | None = None) -> None:
        """Delete the key for good; whoever uses it is refused from then on.

        Args:
            key_id: the key's `id`.
            timeout: seconds for the whole call; the client's own if None.

        Raises:
            NotFoundError: there is no such key.
            AuthenticationError: the key belongs to another account, or the login does not work.

        """
        path = {"id": arguments.whole_number("key_id", key_id)}
        await self._session.call(_DELETE, path=path, timeout=timeout)


class PasswordLogin(Renewable):
    """Logs in with email and password when a token is needed, and renews it before it ends.

    Args:
        email: the account's; it cannot hold a colon (RFC 7617, section 2).
        password: the account's.
        password_from: the store that holds the password, or the address of that store. It is read
            for each login. Give this or *password*.

    Attributes:
        account: the email.

    Raises:
        InvalidArgumentError: one of them is empty or cannot be sent.

    """

    def __init__(
        self,
        email: str,
        password: str | Secret | None = None,
        *,
        password_from: Store | str | None = None,
    ) -> None:
        given = None if password is None else as_secret(password, "password")
        del password
        if (given is None) == (password_from is None):
            raise InvalidArgumentError("give password or password_from, and not both")
        super().__init__()
        self.account = _checked_email(email)
        self._store = _store_of(password_from)
        # The password, as it is and as it is sent, once it is known.
        self._known: tuple[Secret, ...] = ()
        if given is not None:
            self._known = (given, _basic(self.account, given))
        self._refresh_token: Secret | None = None

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        """Refresh the token; log in if there is none to refresh, or that fails."""
        begun = time.monotonic()
        # Half of the time, so that a refresh that is never answered leaves enough for the login.
        tokens = await self._refreshed(caller, timeout / 2)
        if tokens is None:
            left = timeout - (time.monotonic() - begun)
            tokens = await self._logged_in(caller, left)
        self._refresh_token = tokens.refresh_token
        return Token.of_jwt(tokens.access_token)

    def secrets(self) -> Iterable[Secret]:
        """Return the password, as it is and as it is sent, and the tokens."""
        yield from (*super().secrets(), *self._known)
        if self._refresh_token is not None:
            yield self._refresh_token

    async def _logged_in(self, caller: Caller, timeout: float) -> Tokens:
        begun = time.monotonic()
        basic = await self._basic()
        try:
            tokens: Tokens = await caller.call(_LOGIN, authorization=basic, timeout=timeout)
        except AuthenticationError as error:
            refused = error
        else:
            return tokens
        another = await self._basic()
        if another == basic:
            raise refused
        # Somebody has changed the password between the two.
        left = timeout - (time.monotonic() - begun)
        renewed: Tokens = await caller.call(_LOGIN, authorization=another, timeout=left)
        return renewed

    async def _basic(self) -> Secret:
        if self._store is not None:
            password = await secret_in(self._store, "password")
            self._known = (password, _basic(self.account, password))
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


async def _refresh(caller: Caller, refresh_token: Secret, timeout: float) -> Tokens:
    tokens: Tokens = await caller.call(
        _REFRESH, json={"refreshToken": refresh_token}, timeout=timeout
    )
    return tokens


class AgentityClient(Client):
    """A client of Agentity, for the keys of one account."""

    _service = Service(
        "Agentity",
        "https://api.agentity.to",
        "AGENTITY_BASE_URL",
        Reader(camel_case),
        key_form="(agk_live_)[A-Za-z0-9_.-]+",
    )

    @property
    def api_keys(self) -> ApiKeys:
        """The account's keys."""
        return ApiKeys(self._session, _PLACE)

    @classmethod
    def _from_environment(cls) -> Credentials:
        token = from_environment("AGENTITY_ACCESS_TOKEN")
        if token is not None:
            return BearerToken(token) if isinstance(token, Secret) else StoredToken(token)
        email, password = variable("AGENTITY_EMAIL"), from_environment("AGENTITY_PASSWORD")
        if email is not None and password is not None:
            if isinstance(password, Secret):
                return PasswordLogin(email.reveal(), password)
            return PasswordLogin(email.reveal(), password_from=password)
        raise ConfigurationError(
            "no credentials for Agentity: pass PasswordLogin(email, password), or set"
            " AGENTITY_EMAIL and AGENTITY_PASSWORD, or AGENTITY_ACCESS_TOKEN; with _FROM at its end"
            " the name of a variable holds the address of a store"
        )


async def register(
    email: str, password: str | Secret, *, name: str, **settings: Unpack[ClientSettings]
) -> Account:
    """Open an account.

    Args:
        email: what it logs in with; it cannot hold a colon.
        password: likewise.
        name: whose account it is.
        **settings: the keyword arguments of `AgentityClient`.

    Raises:
        ConflictError: the email has an account.
        RequestError: see its `applied` before doing it again; the account may exist.

    """
    password = as_secret(password, "password")
    seal(settings)
    basic = _basic(email, password)
    json = {"name": arguments.text("name", name)}
    async with AgentityClient(PasswordLogin(email, password), **settings) as client:
        session = client._session  # noqa: SLF001  # one service, one module
        return await session.call(_REGISTER, json=json, authorization=basic)


async def login(email: str, password: str | Secret, **settings: Unpack[ClientSettings]) -> Tokens:
    """Log in once and return the tokens, e.g. for a `TokenPair` elsewhere.

    A client needs no such call: `PasswordLogin` makes it when a token is needed.

    Args:
        email: the account's.
        password: the account's.
        **settings: the keyword arguments of `AgentityClient`.

    Raises:
        AuthenticationError: the email or the password is wrong.
        RequestError: see `agentkeys.errors`.

    """
    password = as_secret(password, "password")
    seal(settings)
    basic = _basic(email, password)
    async with AgentityClient(PasswordLogin(email, password), **settings) as client:
        session = client._session  # noqa: SLF001  # one service, one module
        return await session.call(_LOGIN, authorization=basic)


def _checked_email(email: str) -> str:
    email = arguments.text("email", email)
    if ":" in email:
        raise InvalidArgumentError("email holds a colon, with which nobody can log in (RFC 7617)")
    return email


def _store_of(given: Store | str | None) -> Store | None:
    store = open_store(given) if isinstance(given, str) else given
    if store is None or isinstance(store, Store):
        return store
    raise InvalidArgumentError(
        f"password_from must be a store or its address, not of type {type(store).__name__}"
    )


def _basic(email: str, password: Secret) -> Secret:
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
