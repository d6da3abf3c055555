"""Agentity: its records, its endpoints, its login, its client.

Agentity gives an agent an identity. An account has API keys; an agent uses an API key instead of
the account's email and password. Source: Agentity's documentation, the pages Authentication and API
keys.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Unpack

import attrs

from agentkeys import arguments
from agentkeys.agentity.logins import LOGIN, PasswordLogin, TokenPair, Tokens, basic
from agentkeys.arguments import as_secret
from agentkeys.credentials import BearerToken, Credentials, StoredToken
from agentkeys.errors import ConfigurationError, InvalidArgumentError, ProfileError
from agentkeys.keys import Record, listed
from agentkeys.paging import Page, Pager
from agentkeys.records import id_of_request
from agentkeys.secret import Secret
from agentkeys.sources import from_environment
from agentkeys.transport.call.endpoint import Endpoint
from agentkeys.transport.client import Client, ClientSettings, seal
from agentkeys.transport.collection import Keys, Place
from agentkeys.transport.reading.convert import Reader, camel_case
from agentkeys.transport.settings import Service, variable

if TYPE_CHECKING:
    from agentkeys.profiles.config import Profile

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
        id: the id that `delete` takes.
        nickname: the key's name; unique among the account's keys.
        created_at: when the key was created.
        updated_at: when the key was last changed.
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
    """A new key. Only the answer to its creation holds `key`, the secret.

    Attributes:
        request_id: the id of the request that created it, for the service's support, or None.
    """

    key: Secret
    request_id: str | None = id_of_request()

    @property
    def secret(self) -> Secret:
        """The secret, `key`."""
        return self.key

    def listed(self) -> ApiKey:
        """Return the key as a listing has it, without its secret."""
        return listed(self, ApiKey)


@attrs.frozen
class Account(Record):
    """An account, as `register` returns it; `id` is a UUID."""

    id: str
    name: str
    email: str
    created_at: datetime
    updated_at: datetime
    request_id: str | None = id_of_request()


@attrs.frozen
class _Listing:
    api_keys: tuple[ApiKey, ...]
    request_id: str | None = id_of_request()


_PLACE: Final = Place(Endpoint("POST", "/auth/api-keys", returns=NewApiKey))
_LIST: Final = Endpoint("GET", "/auth/api-keys", returns=_Listing, idempotent=True)
_DELETE: Final = Endpoint[None](
    "DELETE",
    "/auth/api-keys/{id}",
    returns=None,
    idempotent=True,
    # Agentity's documentation, Delete an API key: the answer for a key of another account is 401.
    advice={401: "check the credentials, and that the key is one of this account's"},
)
_REGISTER: Final = Endpoint("POST", "/auth/register", returns=Account, authorization="Basic")


class ApiKeys(Keys[NewApiKey]):
    """The API keys of the account."""

    async def create(
        self,
        nickname: str | None = None,
        *,
        name: str | None = None,
        timeout: float | None = None,
    ) -> NewApiKey:
        """Create a key; only the result holds its secret, in `key`.

        If the call is cancelled after its request may have been sent, the call continues for up to
        two seconds, and deletes the new key. `agentkeys.issue` creates a key and stores its secret.

        Args:
            nickname: the key's name; unique among the account's keys.
            name: another name of the argument *nickname*, as for other services; give one of the
                two.
            timeout: seconds for the whole call; defaults to the client's timeout.

        Raises:
            ConflictError: the nickname is taken.
            RequestError: read its `applied` before you repeat the call; the key may exist.
        """
        if (nickname is None) == (name is None):
            raise InvalidArgumentError(
                "create() needs the nickname of the new key, once: create('my-key')"
            )
        nickname = arguments.text("nickname", name if nickname is None else nickname)
        return await self._make(nickname, {"nickname": nickname}, timeout)

    def list(self, *, timeout: float | None = None) -> Pager[ApiKey]:
        """List the account's keys; Agentity returns all of them as one page.

        Args:
            timeout: seconds for the page; defaults to the client's timeout.
        """
        seconds = None if timeout is None else arguments.timeout(timeout)

        async def fetch(_: str | None) -> Page[ApiKey]:
            listing = await self._session.call(_LIST, timeout=seconds)
            return Page(listing.api_keys, request_id=listing.request_id)

        return Pager(fetch)

    async def delete(self, key_id: int, *, timeout: float | None = None) -> None:
        """Delete the key permanently; from then on, the service rejects it.

        Args:
            key_id: the key's `id`.
            timeout: seconds for the whole call; defaults to the client's timeout.

        Raises:
            NotFoundError: no key has this id.
            AuthenticationError: the key belongs to another account, or the login failed.
        """
        path = {"id": arguments.whole_number("key_id", key_id)}
        await self._session.call(_DELETE, path=path, timeout=timeout)


class AgentityClient(Client):
    """A client of Agentity, for the keys of one account."""

    _service = Service(
        "Agentity",
        "https://api.agentity.to",
        "AGENTITY_BASE_URL",
        Reader(camel_case),
        key_form="(agk_live_)[A-Za-z0-9_.-]+",
        variables=("AGENTITY_EMAIL", "AGENTITY_PASSWORD", "AGENTITY_ACCESS_TOKEN"),
    )

    @property
    def api_keys(self) -> ApiKeys:
        """The account's keys."""
        return ApiKeys(self._session, _PLACE)

    @classmethod
    def _from_profile(cls, profile: Profile) -> Credentials:
        if profile.email is None:
            return super()._from_profile(profile)
        if profile.password_from is None:
            raise ProfileError(
                f"the profile {profile.name!r} has an email and no password_from: add the address"
                " of the store that holds the password"
            )
        from agentkeys.profiles.choosing import opened

        store = opened(profile, "password_from", profile.password_from)
        return PasswordLogin(profile.email, password_from=store)

    @classmethod
    def _from_environment(cls) -> Credentials:
        token = from_environment("AGENTITY_ACCESS_TOKEN")
        password = from_environment("AGENTITY_PASSWORD")
        email = variable("AGENTITY_EMAIL")
        if token is not None:
            return BearerToken(token) if isinstance(token, Secret) else StoredToken(token)
        if email is not None and isinstance(password, Secret):
            return PasswordLogin(email.reveal(), password)
        if email is not None and password is not None:
            return PasswordLogin(email.reveal(), password_from=password)
        raise ConfigurationError(
            "no credentials for Agentity: pass PasswordLogin(email, password), or set"
            " AGENTITY_EMAIL and AGENTITY_PASSWORD, or AGENTITY_ACCESS_TOKEN; to read the password"
            " or the token from a store, set AGENTITY_PASSWORD_FROM or AGENTITY_ACCESS_TOKEN_FROM"
            " to the address of the store"
        )


async def register(
    email: str, password: str | Secret, *, name: str, **settings: Unpack[ClientSettings]
) -> Account:
    """Create an account.

    Args:
        email: the email to log in with; it must not contain a colon.
        password: the password to log in with.
        name: the name of the account's owner.
        **settings: the keyword arguments of `AgentityClient`.

    Raises:
        ConflictError: the email already has an account.
        RequestError: read its `applied` before you repeat the call; the account may exist.
    """
    password = as_secret(password, "password")
    seal(settings)
    authorization = basic(email, password)
    json = {"name": arguments.text("name", name)}
    async with AgentityClient(PasswordLogin(email, password), **settings) as client:
        session = client._session  # noqa: SLF001  # one service, one module
        return await session.call(_REGISTER, json=json, authorization=authorization)


async def login(email: str, password: str | Secret, **settings: Unpack[ClientSettings]) -> Tokens:
    """Log in once and return the tokens, e.g. for a `TokenPair` in another program.

    A client does not need this call: `PasswordLogin` logs in when a token is needed.

    Args:
        email: the account's email.
        password: the account's password.
        **settings: the keyword arguments of `AgentityClient`.

    Raises:
        AuthenticationError: the email or the password is wrong.
        RequestError: see `agentkeys.errors`.
    """
    password = as_secret(password, "password")
    seal(settings)
    authorization = basic(email, password)
    async with AgentityClient(PasswordLogin(email, password), **settings) as client:
        session = client._session  # noqa: SLF001  # one service, one module
        return await session.call(LOGIN, authorization=authorization)
