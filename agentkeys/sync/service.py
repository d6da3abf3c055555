"""The blocking local service, which `agentkeys.sync` imports when it is used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Self, TypedDict, Unpack

from aiohttp.typedefs import Middleware

from agentkeys import forks, server
from agentkeys.arguments import as_secret
from agentkeys.errors import ClientClosedError, ConfigurationError
from agentkeys.secret import Secret
from agentkeys.server.blocking import BlockingFaults, BlockingRequests
from agentkeys.server.ground.clock import Clock
from agentkeys.sync.portal import Portal

__all__ = ["LocalService", "LocalServiceSettings"]


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


class LocalService(forks.Unpicklable):
    """Both services on one port of this machine, as a context manager.

    The arguments and attributes are those of `agentkeys.server.LocalService`. It runs in a thread
    of this process.
    """

    def __init__(self, **settings: Unpack[LocalServiceSettings]) -> None:
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
        return BlockingFaults(self._twin.faults, self._portal.run)

    @property
    def clock(self) -> Clock:
        """The time, as both services tell it. It can be moved."""
        return self._twin.clock

    @property
    def requests(self) -> BlockingRequests:
        """The last requests that came."""
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
