"""The blocking clients and their collections: one line for each name of the async ones."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, Unpack

from agentkeys import agentity, agentry
from agentkeys.arguments import as_secret
from agentkeys.credentials import Credentials
from agentkeys.errors import AgentKeysError, ConfigurationError
from agentkeys.keys import Key, KeyCollection, Scope
from agentkeys.observers import Observer
from agentkeys.rates import RateLimiter
from agentkeys.retry import RetryPolicy
from agentkeys.secret import Secret
from agentkeys.sync.descriptors import BlockingPager, Facade, Shown, blocking, leading_to, paging
from agentkeys.sync.portal import Portal
from agentkeys.transport.client import Client, ClientSettings, seal, sealed, with_arguments

if TYPE_CHECKING:
    from agentkeys.sync.portal import Start

__all__ = [
    "AgentityApiKeys",
    "AgentityClient",
    "AgentryAgentApiKeys",
    "AgentryAgentScope",
    "AgentryAgentSurface",
    "AgentryApiKeys",
    "AgentryClient",
    "AgentryInbox",
    "AgentryTenantApiKeys",
    "BlockingClient",
    "BlockingPager",
    "Keys",
    "login",
    "register",
]

ClientT = TypeVar("ClientT", bound=Client)
KeyT = TypeVar("KeyT", bound="Key[Any]")
KeysT_co = TypeVar("KeysT_co", bound="KeyCollection[Any, Any, Any]", covariant=True)
T = TypeVar("T")


class BlockingClient(Facade[ClientT], Generic[ClientT]):
    """The base class of the blocking clients. The arguments are those of the async client.

    For a service of your own, set `_kind` to the async client's class.
    """

    _kind: type[ClientT]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.__doc__ = with_arguments(cls.__doc__, without="session")

    def __init__(
        self,
        credentials: str | Secret | Credentials | None = None,
        *,
        profile: str | None = None,
        base_url: str | Secret | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # it is frozen
        ssl: SSLContext | None = None,
        proxy: str | Secret | None = None,
        allow_http: bool = False,
        observers: Sequence[Observer] = (),
        user_agent: str | None = None,
        rate: float | RateLimiter | None = None,
    ) -> None:
        # First, so that no traceback from here shows them.
        credentials = sealed(credentials)
        base_url = None if base_url is None else as_secret(base_url, "base_url")
        proxy = None if proxy is None else as_secret(proxy, "proxy")
        twin = self._kind(
            credentials,
            profile=profile,
            base_url=base_url,
            timeout=timeout,
            retry=retry,
            ssl=ssl,
            proxy=proxy,
            allow_http=allow_http,
            observers=observers,
            user_agent=user_agent,
            rate=rate,
        )
        # The connections belong to the portal's loop, and close with it.
        super().__init__(twin, Portal(address=_address(twin)))

    def close(self) -> None:
        """Cancel running calls, close the connections, end the thread. Closing twice is fine."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{getattr(self, '_twin', None)!r} (blocking)"


class Keys(Facade[KeysT_co], Generic[KeysT_co]):
    """The base class of the blocking collections."""

    _instead = "get the collection from its client again"

    scope: Shown[Scope] = Shown("The account, inbox, pod or tenant that has these keys.")
    timeout: Shown[float] = Shown("Seconds for a whole call, unless the call says otherwise.")
    retry: Shown[RetryPolicy] = Shown("When a call retries its request.")


class AgentityApiKeys(Keys[agentity.ApiKeys]):
    """The API keys of the account."""

    create = blocking(agentity.ApiKeys.create)
    list = paging(agentity.ApiKeys.list)
    delete = blocking(agentity.ApiKeys.delete)


class AgentityClient(BlockingClient[agentity.AgentityClient]):
    """A blocking client of Agentity, for the keys of one account."""

    _kind = agentity.AgentityClient

    api_keys: Shown[AgentityApiKeys] = Shown(agentity.AgentityClient.api_keys, AgentityApiKeys)


class AgentryApiKeys(Keys[agentry.ApiKeys]):
    """The keys of one inbox, on the human surface."""

    create = blocking(agentry.ApiKeys.create)
    list = paging(agentry.ApiKeys.list)
    delete = blocking(agentry.ApiKeys.delete)


class AgentryTenantApiKeys(Keys[agentry.TenantApiKeys]):
    """The keys of the tenant, on the human surface."""

    create = blocking(agentry.TenantApiKeys.create)
    list = paging(agentry.TenantApiKeys.list)
    delete = blocking(agentry.TenantApiKeys.delete)


class AgentryAgentApiKeys(Keys[agentry.AgentApiKeys]):
    """The keys of a tenant, an inbox or a pod, on the agent surface."""

    create = blocking(agentry.AgentApiKeys.create)
    list = paging(agentry.AgentApiKeys.list)
    delete = blocking(agentry.AgentApiKeys.delete)


class AgentryInbox(Facade[agentry.Inbox]):
    """An inbox on the human surface."""

    _instead = "get it from its client again"

    api_keys: Shown[AgentryApiKeys] = Shown("The inbox's keys.", AgentryApiKeys)


class AgentryAgentScope(Facade[agentry.AgentScope]):
    """An inbox or a pod on the agent surface."""

    _instead = "get it from its client again"

    api_keys: Shown[AgentryAgentApiKeys] = Shown("Its keys.", AgentryAgentApiKeys)


class AgentryAgentSurface(Facade[agentry.AgentSurface]):
    """The API for agents: the keys of the tenant, of its inboxes and of its pods."""

    _instead = "get it from its client again"

    api_keys: Shown[AgentryAgentApiKeys] = Shown(agentry.AgentSurface.api_keys, AgentryAgentApiKeys)
    inbox = leading_to(agentry.AgentSurface.inbox, AgentryAgentScope)
    pod = leading_to(agentry.AgentSurface.pod, AgentryAgentScope)


class AgentryClient(BlockingClient[agentry.AgentryClient]):
    """A blocking client of Agentry, for the keys of a tenant, its inboxes and its pods."""

    _kind = agentry.AgentryClient

    api_keys: Shown[AgentryTenantApiKeys] = Shown(
        agentry.AgentryClient.api_keys, AgentryTenantApiKeys
    )
    agent: Shown[AgentryAgentSurface] = Shown(agentry.AgentryClient.agent, AgentryAgentSurface)
    inbox = leading_to(agentry.AgentryClient.inbox, AgentryInbox)


def login(
    email: str, password: str | Secret, **settings: Unpack[ClientSettings]
) -> agentity.Tokens:
    """Log in once and return the tokens; see `agentkeys.agentity.login`."""
    password = as_secret(password, "password")
    _prepare(settings)
    return _once(partial(agentity.login, email, password, **settings), settings)


def register(
    email: str, password: str | Secret, *, name: str, **settings: Unpack[ClientSettings]
) -> agentity.Account:
    """Create an account with Agentity; see `agentkeys.agentity.register`."""
    password = as_secret(password, "password")
    _prepare(settings)
    return _once(partial(agentity.register, email, password, name=name, **settings), settings)


def _address(client: Client) -> str | None:
    """Return the address to which *client* sends its requests; None if they go through a proxy."""
    settings = client._settings  # noqa: SLF001  # one house
    return settings.base_url if settings.proxy is None else None


def _prepare(settings: ClientSettings) -> None:
    seal(settings)
    if settings.pop("session", None) is not None:
        raise ConfigurationError(
            "a blocking call cannot use an aiohttp session: leave the session out"
        )


def _once(start: Start[T], settings: ClientSettings) -> T:
    address = None
    with suppress(AgentKeysError):  # the call raises it itself, in its order of checks
        address = _address(agentity.AgentityClient("-", **settings))
    portal = Portal(address=address)
    try:
        return portal.run(start)
    finally:
        portal.close()
