"""`LocalService`: both services on one port of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from ssl import SSLContext
from typing import Final, NoReturn, Self, SupportsIndex

from aiohttp.typedefs import Middleware

from agentkeys.arguments import as_secret
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.server import bootstrap
from agentkeys.server.agentry import scopes
from agentkeys.server.app import ANSWER_SECONDS, BODY_LIMIT, BODY_SECONDS
from agentkeys.server.bootstrap import EMAIL, INBOX_ID, POD_ID, Start
from agentkeys.server.faults.queue import Faults
from agentkeys.server.ground.clock import Clock
from agentkeys.server.ground.rate import Rate
from agentkeys.server.http.authorization import BasicCredentials
from agentkeys.server.http.connections import CONNECTION_LIMIT, check_connection_limit
from agentkeys.server.http.hosts import Hosts
from agentkeys.server.http.record import Requests
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.http.sockets import Limits
from agentkeys.server.running import Running, Settings, run
from agentkeys.server.seeding import SeededKey, ServiceName, plant, seeds_of
from agentkeys.server.settings import check_email, check_id, check_seconds, listed
from agentkeys.server.storage import live_keys

_DAY: Final = 86400.0


class LocalService:
    """A real Agentity and a real Agentry on one port of this machine, as an async context manager.

    It starts with an account, a tenant, an inbox and a pod. A client needs `url`, `email`,
    `password`, `agentry_token`, `inbox_id` and `pod_id`. `add_account`, `add_inbox` and `add_pod`
    create more.

    Args:
        database: ``sqlite:///PATH`` keeps the data in a file, which is created with mode 0600 if it
            does not exist; the account, token and inbox are the same at every start. None keeps the
            data in memory. Several processes may use one file at the same time.
        host: the address to listen on.
        port: the port to listen on; 0 is any free port.
        allowed_hosts: the hosts that the `Host` and `Origin` headers of a request may name besides
            127.0.0.0/8, ::1, localhost and *host*; a request with another host is answered 403. A
            service for other machines, such as one on 0.0.0.0 in a container, needs the names that
            they use.
        access_token_lifetime: seconds until an access token of Agentity expires. Below 60, its
            `iat` and `exp` have fractions, else they are whole seconds.
        refresh_token_lifetime: seconds until a refresh token expires.
        body_limit: the longest body of a request, in bytes; a longer one is answered 413.
        body_timeout: seconds in which a request's body must arrive; else the answer is 408.
        answer_timeout: seconds in which an answer must be read; else the connection is closed.
        keepalive_timeout: seconds after which a connection without a complete request head is
            closed.
        connection_limit: the largest number of open connections. Above it, the connection that has
            waited longest for its client, for a request or the rest of one, is closed; if none
            waits, the new one is answered 503.
        shutdown_timeout: seconds that `close` gives running requests.
        used_at_interval: seconds after which the time of a key's last use is written to the
            database, if no other commit has written it. Answers show it at once.
        clock: returns the seconds since 1970; it becomes the source of `clock`.
        rate_limit: how many requests a second both services answer, all together; one more is
            answered 429 with a `Retry-After`. None is no limit.
        recorded_requests: how many of the last requests `requests` shows; 0 records none.
        recorded_bodies: whether `requests` shows bodies, with secrets masked.
        ssl: the certificate and key for TLS; None means plain HTTP.
        email: the email of the account that Agentity starts with.
        password: the password of that account; None means a random one. An account that already
            exists in the database gets this password.
        agentry_token: the token of Agentry's tenant, which begins with ``ag_``; None means a random
            one.
        accounts: the emails of more accounts to start with, with the same password.
        inboxes: the ids of more inboxes to start with; they are in no pod.
        pods: the ids of more pods to start with.
        middlewares: aiohttp middlewares around both services, the outermost first.

    Raises:
        InvalidArgumentError: a number of seconds is not positive, or not finite; *rate_limit*,
            *connection_limit* or *recorded_requests* is not a valid number; one of *allowed_hosts*
            is not a host; or an account, a token, an inbox or a pod is not valid.
    """

    def __init__(
        self,
        *,
        database: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        allowed_hosts: Iterable[str] = (),
        access_token_lifetime: float = 900.0,
        refresh_token_lifetime: float = 30 * _DAY,
        body_limit: int = BODY_LIMIT,
        body_timeout: float = BODY_SECONDS,
        answer_timeout: float = ANSWER_SECONDS,
        keepalive_timeout: float = 75.0,
        connection_limit: int = CONNECTION_LIMIT,
        shutdown_timeout: float = 5.0,
        used_at_interval: float = 60.0,
        clock: Callable[[], float] = time.time,
        rate_limit: float | None = None,
        recorded_requests: int = 1000,
        recorded_bodies: bool = False,
        ssl: SSLContext | None = None,
        email: str = EMAIL,
        password: str | Secret | None = None,
        agentry_token: str | Secret | None = None,
        accounts: Iterable[str] = (),
        inboxes: Iterable[str] = (),
        pods: Iterable[str] = (),
        middlewares: Iterable[Middleware] = (),
    ) -> None:
        password = None if password is None else as_secret(password, "a password")
        agentry_token = None if agentry_token is None else as_secret(agentry_token, "agentry_token")
        self._running: Running | None = None
        start = Start(
            email,
            password,
            agentry_token,
            listed(accounts, "accounts"),
            listed(inboxes, "inboxes"),
            listed(pods, "pods"),
        )
        start.check()
        check_seconds(
            access_token_lifetime=access_token_lifetime,
            refresh_token_lifetime=refresh_token_lifetime,
            body_timeout=body_timeout,
            answer_timeout=answer_timeout,
            keepalive_timeout=keepalive_timeout,
            shutdown_timeout=shutdown_timeout,
            used_at_interval=used_at_interval,
        )
        check_connection_limit(connection_limit)
        hosts = Hosts(allowed_hosts)
        hosts.listen_on(host)
        self._settings = Settings(
            database=database,
            host=host,
            port=port,
            hosts=hosts,
            access_token_lifetime=access_token_lifetime,
            refresh_token_lifetime=refresh_token_lifetime,
            body_limit=body_limit,
            body_timeout=body_timeout,
            limits=Limits(keepalive_timeout, answer_timeout, connection_limit, shutdown_timeout),
            used_at_interval=used_at_interval,
            clock=clock if isinstance(clock, Clock) else Clock(clock),
            faults=Faults(),
            rate=None if rate_limit is None else Rate(rate_limit),
            requests=Requests(recorded_requests, bodies=recorded_bodies),
            tls=ssl,
            start=start,
            middlewares=tuple(middlewares),
        )
        self._password: Secret | None = None
        self._agentry_token: Secret | None = None

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled: it runs in this process; pass"
            " its url and its credentials, or make a new one"
        )

    def __repr__(self) -> str:
        return f"<LocalService {self._running.url if self._running else 'not running'}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """The base address of both services, without a trailing slash."""
        return self._started().url

    @property
    def email(self) -> str:
        """The email of the account that Agentity starts with."""
        return self._settings.start.email

    @property
    def password(self) -> str:
        """The password of that account. It is a secret: do not log it."""
        return _revealed(self._password)

    @property
    def agentry_token(self) -> str:
        """The token of Agentry's tenant. It is a secret: do not log it."""
        return _revealed(self._agentry_token)

    @property
    def inbox_id(self) -> str:
        """The id of the inbox that Agentry starts with."""
        return INBOX_ID

    @property
    def pod_id(self) -> str:
        """The id of the pod that Agentry starts with; it contains no inbox."""
        return POD_ID

    @property
    def faults(self) -> Faults:
        """The faults on purpose; empty until one is added."""
        return self._settings.faults

    @property
    def clock(self) -> Clock:
        """The clock of both services. It can be moved."""
        return self._settings.clock

    @property
    def requests(self) -> Requests:
        """The last requests."""
        return self._settings.requests

    async def start(self) -> None:
        """Start the service.

        Raises:
            ConfigurationError: the port is in use, the database cannot be used (it is not changed),
                or the service is already running.
        """
        if self._running is not None:
            raise ConfigurationError("this LocalService is already running")
        self._running = running = await run(self._settings)
        self._password, self._agentry_token = running.password, running.agentry_token

    async def close(self) -> None:
        """Finish the running requests, and stop. Closing twice does nothing."""
        running, self._running = self._running, None
        if running is not None:
            await running.exits.aclose()

    async def add_account(self, email: str, password: str | Secret) -> None:
        """Create an account with Agentity, unless it exists with this password.

        Raises:
            InvalidArgumentError: the email is not valid, or its account has another password.
        """
        password = as_secret(password, "a password")
        agentity = self._started().agentity
        check_email(email)
        credentials = BasicCredentials(email, password)
        try:
            await agentity.add_account(credentials, email)
        except Refusal as error:
            refusal = error
        else:
            return
        if refusal.status != 409 or not await agentity.knows(credentials):
            raise InvalidArgumentError(f"this account cannot be added: {refusal.message}")

    async def add_inbox(self, inbox_id: str, pod_id: str | None = None) -> None:
        """Add an inbox to the tenant, in a pod if one is given, unless it exists.

        Raises:
            InvalidArgumentError: the id is not valid, the pod does not exist, or the inbox is in
                another pod.
        """
        check_id(inbox_id)
        await self._started().database.write(scopes.add_inbox, inbox_id, pod_id)

    async def add_pod(self, pod_id: str) -> None:
        """Add a pod to the tenant, unless it exists.

        Raises:
            InvalidArgumentError: the id is not valid.
        """
        check_id(pod_id)
        await self._started().database.write(scopes.add_pod, pod_id)

    async def seed(
        self,
        keys: Iterable[str],
        *,
        service: ServiceName,
        email: str | None = None,
        inbox_id: str | None = None,
        pod_id: str | None = None,
        created_at: datetime | None = None,
        used_at: datetime | None = None,
    ) -> list[SeededKey]:
        """Create keys with a creation time in the past: all of them, or none.

        Args:
            keys: their names.
            service: ``"agentity"`` or ``"agentry"``.
            email: the account of Agentity; defaults to the first account.
            inbox_id: the inbox of Agentry.
            pod_id: the pod of Agentry; without an inbox or a pod, the keys are the tenant's.
            created_at: when they were created; defaults to now.
            used_at: when they were last used; defaults to never. Only Agentry shows it.

        Raises:
            InvalidArgumentError: a key is not valid, a nickname is taken, or the account, inbox or
                pod does not exist.
        """
        seeds = seeds_of(
            keys,
            service,
            email=self.email if email is None else email,
            inbox_id=inbox_id,
            pod_id=pod_id,
            created_at=created_at,
            used_at=used_at,
            now=self._settings.clock(),
        )
        return await self._started().database.write(plant, seeds)

    async def reset(self) -> None:
        """Restore the state of the service at its start, on a new database.

        All keys, faults and recorded requests are removed, and all accounts, inboxes and pods that
        were added. The clock shows its source. The credentials stay, and so do logins of the
        accounts that stay. A request that a fault holds back is not acted on. The id of a deleted
        key is not reused.
        """
        running = self._started()
        running.entrance.let_go()
        self._settings.faults.clear()
        await running.database.write(bootstrap.reset, self._settings.start)
        self._settings.clock.reset()
        self._settings.requests.clear()
        if self._settings.rate is not None:
            self._settings.rate.refill()

    async def is_live(self, secret: str | Secret) -> bool:
        """Return whether this secret belongs to a live key. This does not count as a use."""
        secret = as_secret(secret, "secret")
        return await self._started().database.read(live_keys.is_live, secret)

    def _started(self) -> Running:
        if self._running is None:
            raise ConfigurationError("the LocalService is not running: use it with `async with`")
        return self._running


def _revealed(secret: Secret | None) -> str:
    if secret is None:
        raise ConfigurationError("the LocalService was not started: use it with `async with`")
    return secret.reveal()
