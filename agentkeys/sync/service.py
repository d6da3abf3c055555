"""The blocking local service, which `agentkeys.sync` imports when it is used.

Its faults and its record may be used from any thread.
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
    """A fault on some routes. `BlockingFaults.add` makes it; at the end of a ``with`` it goes."""

    id: Shown[int] = Shown("A number that no other fault of this process has.")
    routes: Shown[frozenset[str]] = Shown("The routes that it is on.")
    kind: Shown[Kind] = Shown("What goes wrong.")
    when: Shown[When] = Shown("Before the service acts on the request, or after.")
    times: Shown[Times] = Shown('How many requests meet it, or ``"always"``.')
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
    """The faults of a blocking local service, in the order in which they were added."""

    add = leading_to(Faults.add, BlockingFault)
    clear = same(Faults.clear)
    __repr__ = same(Faults.__repr__)

    def __iter__(self) -> Iterator[BlockingFault]:
        return (BlockingFault(fault, self._portal) for fault in self._twin)


class BlockingRequests(Facade[Requests]):
    """The last requests that came, oldest first: iterate, index, or take the `len`."""

    count: Shown[int] = Shown(Requests.count)
    wait = blocking(Requests.wait)
    clear = same(Requests.clear)
    __getitem__ = same(Requests.__getitem__)
    __iter__ = same(Requests.__iter__)
    __len__ = same(Requests.__len__)
    __repr__ = same(Requests.__repr__)


class LocalService(Facade[server.LocalService]):
    """Both services on one port of this machine, as a context manager.

    The arguments and attributes are those of `agentkeys.server.LocalService`. It runs in a thread
    of this process.
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

    # These two are given secrets, which no frame may show.

    def add_account(self, email: str, password: str | Secret) -> None:
        """Open an account with Agentity."""
        password = as_secret(password, "a password")
        self._portal.run(partial(self._twin.add_account, email, password))

    def is_live(self, secret: str | Secret) -> bool:
        """Tell whether a key of either service has this secret. That is no use of it."""
        secret = as_secret(secret, "secret")
        return self._portal.run(partial(self._twin.is_live, secret))
