"""The blocking twins, for notebooks and scripts: the same names, the same methods, no await.

Each client runs its async twin on a private event loop in a thread of its own. It works in a
notebook, from many threads, and under Ctrl-C. `close` it, or use it as ``with``; one that is
forgotten closes itself.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypedDict, TypeVar, Unpack

from agentkeys import agentity, agentry, forks
from agentkeys.errors import ClientClosedError, ConfigurationError
from agentkeys.secret import Secret, as_secret
from agentkeys.transport import check
from agentkeys.transport.blocking import BlockingPager, Facade, blocking, paging
from agentkeys.transport.client import Client, ClientSettings, seal, sealed
from agentkeys.transport.portal import Portal
from agentkeys.transport.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ssl import SSLContext

    from aiohttp.typedefs import Middleware

    from agentkeys.credentials import Credentials
    from agentkeys.keys import Key, KeyCollection, NewKey, Scope
    from agentkeys.lifecycle import Issued, Swept
    from agentkeys.server.blocking import BlockingFaults, BlockingRequests
    from agentkeys.server.clock import Clock
    from agentkeys.stores import Store
    from agentkeys.transport.portal import Start

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
    "BlockingPager",
    "Keys",
    "LocalService",
    "issue",
    "login",
    "register",
    "sweep",
]

ClientT = TypeVar("ClientT", bound=Client)
KeyT = TypeVar("KeyT", bound="Key[Any]")
KeysT_co = TypeVar("KeysT_co", bound="KeyCollection[Any, Any, Any]", covariant=True)
T = TypeVar("T")


class _Client(Facade[ClientT], Generic[ClientT]):
    """What the blocking clients have in common. The arguments are those of the async client."""

    _kind: type[ClientT]

    def __init__(
        self,
        credentials: str | Secret | Credentials | None = None,
        *,
        base_url: str | Secret | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # it is frozen
        ssl: SSLContext | None = None,
        proxy: str | Secret | None = None,
        allow_http: bool = False,
    ) -> None:
        # First of all, so that no traceback from here shows them.
        credentials = sealed(credentials)
        base_url = None if base_url is None else as_secret(base_url, "base_url")
        proxy = None if proxy is None else as_secret(proxy, "proxy")
        twin = self._kind(
            credentials,
            base_url=base_url,
            timeout=timeout,
            retry=retry,
            ssl=ssl,
            proxy=proxy,
            allow_http=allow_http,
        )
        # The connections belong to the portal's loop, and are closed with it.
        super().__init__(twin, Portal())

    def close(self) -> None:
        """End the calls under way, close the connections, end the thread. Twice is fine."""
        self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{getattr(self, '_twin', None)!r} (blocking)"


class Keys(Facade[KeysT_co], Generic[KeysT_co]):
    """What the blocking collections have in common."""

    @property
    def scope(self) -> Scope:
        """Whose keys these are."""
        return self._twin.scope

    @property
    def timeout(self) -> float:
        """Seconds that a call may take if nothing else is said."""
        return self._twin.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""
        return self._twin.retry


class AgentityApiKeys(Keys[agentity.ApiKeys]):
    """The keys of the account that is logged in."""

    create = blocking(agentity.ApiKeys.create)
    list = paging(agentity.ApiKeys.list)
    delete = blocking(agentity.ApiKeys.delete)


class AgentityClient(_Client[agentity.AgentityClient]):
    """A blocking client of Agentity, for the keys of one account."""

    _kind = agentity.AgentityClient

    @property
    def api_keys(self) -> AgentityApiKeys:
        """The account's keys."""
        return AgentityApiKeys(self._twin.api_keys, self._portal)


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

    @property
    def api_keys(self) -> AgentryApiKeys:
        """The inbox's keys."""
        return AgentryApiKeys(self._twin.api_keys, self._portal)


class AgentryAgentScope(Facade[agentry.AgentScope]):
    """An inbox or a pod on the agent surface."""

    @property
    def api_keys(self) -> AgentryAgentApiKeys:
        """Its keys."""
        return AgentryAgentApiKeys(self._twin.api_keys, self._portal)


class AgentryAgentSurface(Facade[agentry.AgentSurface]):
    """What agents call: the keys of the tenant, of its inboxes and of its pods."""

    @property
    def api_keys(self) -> AgentryAgentApiKeys:
        """The tenant's keys."""
        return AgentryAgentApiKeys(self._twin.api_keys, self._portal)

    def inbox(self, inbox_id: str) -> AgentryAgentScope:
        """Return one inbox; nothing is sent."""
        return AgentryAgentScope(self._twin.inbox(inbox_id), self._portal)

    def pod(self, pod_id: str) -> AgentryAgentScope:
        """Return one pod; nothing is sent."""
        return AgentryAgentScope(self._twin.pod(pod_id), self._portal)


class AgentryClient(_Client[agentry.AgentryClient]):
    """A blocking client of Agentry, for the keys of a tenant, its inboxes and its pods."""

    _kind = agentry.AgentryClient

    @property
    def api_keys(self) -> AgentryTenantApiKeys:
        """The tenant's keys, on the human surface."""
        return AgentryTenantApiKeys(self._twin.api_keys, self._portal)

    @property
    def agent(self) -> AgentryAgentSurface:
        """The agent surface."""
        return AgentryAgentSurface(self._twin.agent, self._portal)

    def inbox(self, inbox_id: str) -> AgentryInbox:
        """Return one inbox on the human surface; nothing is sent.

        Raises:
            InvalidArgumentError: the id would leave its segment of the path.

        """
        return AgentryInbox(self._twin.inbox(inbox_id), self._portal)


def login(
    email: str, password: str | Secret, **settings: Unpack[ClientSettings]
) -> agentity.Tokens:
    """Log in once and return the tokens; see `agentkeys.agentity.login`."""
    password = as_secret(password, "password")
    _prepare(settings)
    return _once(partial(agentity.login, email, password, **settings))


def register(
    email: str, password: str | Secret, *, name: str, **settings: Unpack[ClientSettings]
) -> agentity.Account:
    """Open an account with Agentity; see `agentkeys.agentity.register`."""
    password = as_secret(password, "password")
    _prepare(settings)
    return _once(partial(agentity.register, email, password, name=name, **settings))


def issue(
    keys: Keys[KeyCollection[Any, KeyT, NewKey[Any]]],
    name: str,
    *,
    into: Store | str,
    exact_name: bool = False,
    replace: bool = False,
    timeout: float | None = None,
    scope: Scope | None = None,
    **options: Any,
) -> Issued[KeyT]:
    """Make exactly one key, and store its secret before this returns.

    The arguments, the result and the errors are those of `agentkeys.issue`, but for the keys, which
    are those of a blocking client.
    """
    from agentkeys import lifecycle

    check.collection(keys, "issue", blocking=True)
    return keys._portal.run(  # noqa: SLF001  # a function of the collection
        partial(
            lifecycle.issue,
            keys._twin,  # noqa: SLF001
            name,
            into=into,
            exact_name=exact_name,
            replace=replace,
            timeout=timeout,
            scope=scope,
            **options,
        )
    )


def sweep(
    keys: Keys[KeyCollection[Any, Any, Any]],
    *,
    timeout: float | None = None,
    scope: Scope | None = None,
) -> Swept:
    """Finish the attempts to issue a key here whose processes are gone.

    The arguments, the result and the errors are those of `agentkeys.sweep`, but for the keys, which
    are those of a blocking client.
    """
    from agentkeys import lifecycle

    check.collection(keys, "sweep", blocking=True)
    start = partial(lifecycle.sweep, keys._twin, timeout=timeout, scope=scope)  # noqa: SLF001
    return keys._portal.run(start)  # noqa: SLF001  # a function of the collection


def _prepare(settings: ClientSettings) -> None:
    seal(settings)
    if settings.pop("session", None) is not None:
        raise ConfigurationError("a blocking call cannot use an aiohttp session: leave it out")


def _once(start: Start[T]) -> T:
    portal = Portal()
    try:
        return portal.run(start)
    finally:
        portal.close()


class LocalServiceSettings(TypedDict, total=False):
    """The keyword arguments of `agentkeys.server.LocalService`."""

    database: str | None
    host: str
    port: int
    allowed_hosts: Iterable[str]
    access_token_lifetime: float
    refresh_token_lifetime: float
    body_limit: int
    body_timeout: float
    answer_timeout: float
    keepalive_timeout: float
    connection_limit: int
    shutdown_timeout: float
    used_at_interval: float
    clock: Callable[[], float]
    recorded_requests: int
    middlewares: Iterable[Middleware]


class LocalService:
    """Both services on one port of this machine, as a context manager.

    The arguments and attributes are those of `agentkeys.server.LocalService`. It runs in a thread
    of this process.
    """

    def __init__(self, **settings: Unpack[LocalServiceSettings]) -> None:
        # Here, and not above: a client must not import what only the service needs.
        from agentkeys import server

        self._make = partial(server.LocalService, **settings)
        self._twin = self._make()
        self._portal = Portal(self._twin.close)
        forks.watch(self)

    def start(self) -> None:
        """Start to serve; ``with`` does it too."""
        try:
            self._portal.run(self._twin.start)
        except BaseException:
            if not self._is_running():
                self._portal.stop()  # or the thread would stay until this object is collected
            raise

    def _is_running(self) -> bool:
        try:
            return bool(self._twin.url)
        except ConfigurationError:
            return False

    def close(self) -> None:
        """Finish the requests under way, and end. Twice is fine."""
        with suppress(ClientClosedError):
            self._portal.run(self._twin.close)
        self._portal.close()

    def begin_afresh(self) -> object:
        """Leave the service to the parent of a forked child, where this is one that never ran."""
        inherited = (self._twin, self._portal)
        self._twin = self._make()
        self._portal = Portal(self._twin.close)
        return inherited

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{getattr(self, '_twin', None)!r} (blocking)"

    @property
    def url(self) -> str:
        """The base address of both services."""
        return self._twin.url

    @property
    def email(self) -> str:
        """The email of the account that Agentity starts with."""
        return self._twin.email

    @property
    def password(self) -> str:
        """The password of that account. It is a secret: do not log it."""
        return self._twin.password

    @property
    def agentry_token(self) -> str:
        """The token of Agentry's tenant. It is a secret: do not log it."""
        return self._twin.agentry_token

    @property
    def inbox_id(self) -> str:
        """The id of the inbox that Agentry starts with."""
        return self._twin.inbox_id

    @property
    def pod_id(self) -> str:
        """The id of the pod that Agentry starts with; no inbox is in it."""
        return self._twin.pod_id

    @property
    def faults(self) -> BlockingFaults:
        """What goes wrong on purpose; nothing until something is added."""
        from agentkeys.server.blocking import BlockingFaults

        return BlockingFaults(self._twin.faults, self._portal.run)

    @property
    def clock(self) -> Clock:
        """The time, as both services tell it. It can be moved."""
        return self._twin.clock

    @property
    def requests(self) -> BlockingRequests:
        """The last requests that came."""
        from agentkeys.server.blocking import BlockingRequests

        return BlockingRequests(self._twin.requests, self._portal.run)

    def add_account(self, email: str, password: str | Secret) -> None:
        """Open an account with Agentity."""
        password = as_secret(password, "a password")
        self._portal.run(partial(self._twin.add_account, email, password))

    def add_inbox(self, inbox_id: str, pod_id: str | None = None) -> None:
        """Add an inbox to the tenant, in a pod if one is given."""
        self._portal.run(partial(self._twin.add_inbox, inbox_id, pod_id))

    def add_pod(self, pod_id: str) -> None:
        """Add a pod to the tenant."""
        self._portal.run(partial(self._twin.add_pod, pod_id))

    def is_live(self, secret: str | Secret) -> bool:
        """Tell whether a key of either service has this secret. That is no use of it."""
        secret = as_secret(secret, "secret")
        return self._portal.run(partial(self._twin.is_live, secret))
