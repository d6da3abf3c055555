"""The blocking local service; `agentkeys.sync` imports it when it is used.

Any thread may use its faults and its record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from typing import Self, TypedDict, Unpack

from aiohttp.typedefs import Middleware

from agentkeys import forks, server
from agentkeys.arguments import as_secret
from agentkeys.errors import ClientClosedError, ConfigurationError
from agentkeys.secret import Secret
from agentkeys.server import Clock, Requests
from agentkeys.server.faults import Fault, Faults, Kind, Times, When
from agentkeys.sync.descriptors import Facade, Shown, blocking, leading_to, same
from agentkeys.sync.portal import Portal

__all__ = [
    "BlockingFault",
    "BlockingFaults",
    "BlockingRequests",
    "LocalService",
    "LocalServiceSettings",
]


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
    rate_limit: float | None
    recorded_requests: int
    recorded_bodies: bool
    ssl: SSLContext | None
    email: str
    password: str | Secret | None
    agentry_token: str | Secret | None
    accounts: Iterable[str]
    inboxes: Iterable[str]
    pods: Iterable[str]
    middlewares: Iterable[Middleware]


class BlockingFault(Facade[Fault]):
    """A fault on some routes, made by `BlockingFaults.add`; the end of a ``with`` removes it."""

    id: Shown[int] = Shown("The id; unique among the faults of this process.")
    routes: Shown[frozenset[str]] = Shown("The routes with the fault.")
    kind: Shown[Kind] = Shown("The kind of the fault.")
    when: Shown[When] = Shown(
        "Whether it happens before the service acts on the request, or after."
    )
    times: Shown[Times] = Shown('The number of requests that it affects, or ``"always"``.')
    hits: Shown[int] = Shown(Fault.hits)
    is_removed: Shown[bool] = Shown(Fault.is_removed)
    wait = blocking(Fault.wait)
    remove = same(Fault.remove)
    __repr__ = same(Fault.__repr__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class BlockingFaults(Facade[Faults]):
    """The faults of a blocking local service, in the order of their addition."""

    add = leading_to(Faults.add, BlockingFault)
    clear = same(Faults.clear)
    __repr__ = same(Faults.__repr__)

    def __iter__(self) -> Iterator[BlockingFault]:
        return (BlockingFault(fault, self._portal) for fault in self._twin)


class BlockingRequests(Facade[Requests]):
    """The last requests, oldest first: iterate, index, or use `len`."""

    count: Shown[int] = Shown(Requests.count)
    wait = blocking(Requests.wait)
    clear = same(Requests.clear)
    __getitem__ = same(Requests.__getitem__)
    __iter__ = same(Requests.__iter__)
    __len__ = same(Requests.__len__)
    __repr__ = same(Requests.__repr__)


class LocalService(Facade[server.LocalService]):
    """Both services on one port of this machine, as a context manager.

    The arguments and attributes are those of `agentkeys.server.LocalService`. The service runs in a
    thread of this process.
    """

    def __init__(self, **settings: Unpack[LocalServiceSettings]) -> None:
        if (password := settings.get("password")) is not None:
            settings["password"] = password = as_secret(password, "a password")
        if (token := settings.get("agentry_token")) is not None:
            settings["agentry_token"] = token = as_secret(token, "agentry_token")
        self._make = partial(server.LocalService, **settings)
        twin = self._make()
        super().__init__(twin, Portal(twin.close))
        forks.watch(self)

    def start(self) -> None:
        """Start the service; ``with`` starts it too."""
        try:
            self._portal.run(self._twin.start)
        except BaseException:
            if not self._is_running():
                self._portal.stop()  # or the thread would live until this object is collected
            raise

    def _is_running(self) -> bool:
        try:
            return bool(self._twin.url)
        except ConfigurationError:
            return False

    def close(self) -> None:
        """Finish the running requests, and stop. Closing twice is fine."""
        with suppress(ClientClosedError):
            self._portal.run(self._twin.close)
        self._portal.close()

    def begin_afresh(self) -> object:
        """Drop the service in a forked child; it runs in the parent only."""
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

    url: Shown[str] = Shown(server.LocalService.url)
    email: Shown[str] = Shown(server.LocalService.email)
    password: Shown[str] = Shown(server.LocalService.password)
    agentry_token: Shown[str] = Shown(server.LocalService.agentry_token)
    inbox_id: Shown[str] = Shown(server.LocalService.inbox_id)
    pod_id: Shown[str] = Shown(server.LocalService.pod_id)
    clock: Shown[Clock] = Shown(server.LocalService.clock)
    faults: Shown[BlockingFaults] = Shown(server.LocalService.faults, BlockingFaults)
    requests: Shown[BlockingRequests] = Shown(server.LocalService.requests, BlockingRequests)
    add_inbox = blocking(server.LocalService.add_inbox)
    add_pod = blocking(server.LocalService.add_pod)
    seed = blocking(server.LocalService.seed)
    reset = blocking(server.LocalService.reset)

    # These two receive secrets, which no frame may show.

    def add_account(self, email: str, password: str | Secret) -> None:
        """Create an account with Agentity."""
        password = as_secret(password, "a password")
        self._portal.run(partial(self._twin.add_account, email, password))

    def is_live(self, secret: str | Secret) -> bool:
        """Return whether this secret belongs to a live key. This does not count as a use."""
        secret = as_secret(secret, "secret")
        return self._portal.run(partial(self._twin.is_live, secret))
