"""`LocalService`: both services on one port of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, Self, SupportsIndex, cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from agentkeys.arguments import as_secret
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.server import openapi
from agentkeys.server.agentity.access_tokens import AccessTokens
from agentkeys.server.agentity.routes import Agentity
from agentkeys.server.agentry import scopes
from agentkeys.server.agentry.cursors import Cursors
from agentkeys.server.agentry.routes import Agentry
from agentkeys.server.app import ANSWER_SECONDS, BODY_LIMIT, BODY_SECONDS, create_app
from agentkeys.server.bootstrap import EMAIL, INBOX_ID, POD_ID, initialise
from agentkeys.server.faults.entrance import Entrance
from agentkeys.server.faults.queue import Faults
from agentkeys.server.ground.clock import Clock
from agentkeys.server.http.authorization import BasicCredentials
from agentkeys.server.http.connections import CONNECTION_LIMIT, Connections, check_connection_limit
from agentkeys.server.http.hosts import Hosts
from agentkeys.server.http.listening import listen, url_of
from agentkeys.server.http.protocol import Protocol
from agentkeys.server.http.record import Requests
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.settings import check_email, check_id, check_seconds
from agentkeys.server.storage import derived, live_keys
from agentkeys.server.storage.database import Database
from agentkeys.server.storage.file import file_of
from agentkeys.server.storage.key_format import digest_of
from agentkeys.server.storage.passwords import Passwords
from agentkeys.server.storage.used_times import UsedTimes

if TYPE_CHECKING:
    import socket
    from pathlib import Path


_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class _Running:
    """What a started service holds and `close` ends."""

    database: Database
    passwords: Passwords
    agentity: Agentity
    url: str
    exits: contextlib.AsyncExitStack


class LocalService:
    """A real Agentity and a real Agentry on one port of this machine, as an async context manager.

    It starts with an account, a tenant, an inbox and a pod; `url`, `email`, `password`,
    `agentry_token`, `inbox_id` and `pod_id` are what a client needs. `add_account`, `add_inbox` and
    `add_pod` make more.

    Args:
        database: ``sqlite:///PATH`` keeps the data in a file, which is created with mode 0600 if
            it is missing, and shows the same account, token and inbox at every start. None keeps
            it in memory. Several processes may use one file at once.
        host: the address to listen on.
        port: the port to listen on; 0 is any free one.
        allowed_hosts: the hosts that a request may name in its `Host` and `Origin` headers besides
            127.0.0.0/8, ::1, localhost and *host*; any other is answered 403. A service that
            others reach, as one that listens on 0.0.0.0 in a container, needs the names that they
            use.
        access_token_lifetime: seconds until an access token of Agentity's expires. Below 60 its
            `iat` and `exp` have fractions, else they are whole seconds.
        refresh_token_lifetime: seconds until a refresh token expires.
        body_limit: the longest body of a request, in bytes; a longer one is answered 413.
        body_timeout: seconds in which a request's body must arrive; else the answer is 408.
        answer_timeout: seconds in which an answer must be read; else the connection is closed.
        keepalive_timeout: seconds after which a connection that sends no whole request head is
            closed.
        connection_limit: how many connections may be open. Above it the one that has waited
            longest for its client, for a request or the rest of it, is closed; if none waits, the
            new one is answered 503.
        shutdown_timeout: seconds that `close` gives the requests under way.
        used_at_interval: seconds after which the time of a key's last use is written to the
            database, if no other commit has taken it along. It is shown at once in any case.
        clock: gives the seconds since 1970; it becomes the source of `clock`.
        recorded_requests: how many of the last requests `requests` shows; 0 records none.
        middlewares: aiohttp middlewares around both services, the first outermost.

    Raises:
        InvalidArgumentError: a number of seconds is not positive, or not finite;
            *connection_limit* or *recorded_requests* is no such number; or one of *allowed_hosts*
            is no host.
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
        recorded_requests: int = 1000,
        middlewares: Iterable[Middleware] = (),
    ) -> None:
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
        self._database = database
        self._host = host
        self._port = port
        self._hosts = Hosts(allowed_hosts)
        self._hosts.listen_on(host)
        self._access_token_lifetime = access_token_lifetime
        self._refresh_token_lifetime = refresh_token_lifetime
        self._body_limit = body_limit
        self._body_timeout = body_timeout
        self._answer_timeout = answer_timeout
        self._keepalive_timeout = keepalive_timeout
        self._connection_limit = connection_limit
        self._shutdown_timeout = shutdown_timeout
        self._used_at_interval = used_at_interval
        self._clock = clock if isinstance(clock, Clock) else Clock(clock)
        self._faults = Faults()
        self._requests = Requests(recorded_requests)
        self._middlewares = tuple(middlewares)
        self._running: _Running | None = None
        self._password: Secret | None = None
        self._agentry_token: Secret | None = None

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled, for it runs in this process: hand"
            " on its url and its credentials, or make another one"
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
        """The base address of both services, without a slash behind."""
        return self._started().url

    @property
    def email(self) -> str:
        """The email of the account that Agentity starts with."""
        return EMAIL

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
        """The id of the pod that Agentry starts with; no inbox is in it."""
        return POD_ID

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose; nothing until something is added."""
        return self._faults

    @property
    def clock(self) -> Clock:
        """The time, as both services tell it. It can be moved."""
        return self._clock

    @property
    def requests(self) -> Requests:
        """The last requests that came."""
        return self._requests

    async def start(self) -> None:
        """Start to serve.

        Raises:
            ConfigurationError: the port is in use, the database cannot be used (it is left as it
                is), or the service is running already.
        """
        if self._running is not None:
            raise ConfigurationError("this LocalService is running already")
        file = file_of(self._database)
        async with contextlib.AsyncExitStack() as exits:
            # The port first: if it is in use, no database is made.
            listener = await listen(self._host, self._port)
            exits.callback(listener.close)
            self._running = await self._start(file, listener, exits)

    async def close(self) -> None:
        """Finish the requests under way, and end. Closing twice does nothing."""
        running, self._running = self._running, None
        if running is not None:
            await running.exits.aclose()

    async def add_account(self, email: str, password: str | Secret) -> None:
        """Open an account with Agentity, unless it exists with this password.

        Raises:
            InvalidArgumentError: the email cannot be one, or has another password already.
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
        """Add an inbox to the tenant, in a pod if one is given, unless it is there.

        Raises:
            InvalidArgumentError: the id cannot be one, there is no such pod, or the inbox is in
                another pod.
        """
        check_id(inbox_id)
        await self._started().database.write(scopes.add_inbox, inbox_id, pod_id)

    async def add_pod(self, pod_id: str) -> None:
        """Add a pod to the tenant, unless it is there.

        Raises:
            InvalidArgumentError: the id cannot be one.
        """
        check_id(pod_id)
        await self._started().database.write(scopes.add_pod, pod_id)

    async def is_live(self, secret: str | Secret) -> bool:
        """Tell whether a key of either service has this secret. That is no use of it."""
        secret = as_secret(secret, "secret")
        return await self._started().database.read(live_keys.is_live, secret)

    def _started(self) -> _Running:
        if self._running is None:
            raise ConfigurationError("the LocalService is not running: use it with `async with`")
        return self._running

    async def _start(
        self, file: Path | None, listener: socket.socket, exits: contextlib.AsyncExitStack
    ) -> _Running:
        used = UsedTimes()
        database = Database(file, used)
        exits.push_async_callback(database.close)
        exits.push_async_callback(database.flush)
        master = await database.open(functools.partial(initialise, file=file))
        passwords = Passwords()
        exits.callback(passwords.close)
        self._password = derived.bootstrap_password(master)
        self._agentry_token = derived.tenant_token(master)
        signing_key = derived.signing_key(master)
        tokens = AccessTokens(signing_key, self._access_token_lifetime, self._clock)
        agentity = Agentity(database, passwords, tokens, self._refresh_token_lifetime, self._clock)
        agentry = Agentry(
            database,
            used,
            Cursors(derived.cursor_key(master)),
            digest_of(self._agentry_token),
            self._clock,
        )
        routes = [*agentity.routes(), *agentry.routes(), *openapi.routes()]
        await self._serve(routes, listener, exits)
        flushing = asyncio.create_task(_flush_now_and_then(database, self._used_at_interval))
        exits.push_async_callback(_cancelled, flushing)
        return _Running(database, passwords, agentity, url_of(listener), exits.pop_all())

    async def _serve(
        self,
        routes: list[web.RouteDef],
        listener: socket.socket,
        exits: contextlib.AsyncExitStack,
    ) -> None:
        self._hosts.listen_on(listener.getsockname()[0])
        entrance = Entrance(self._faults, self._requests, self._hosts)
        app = create_app(
            routes,
            entrance,
            middlewares=self._middlewares,
            body_limit=self._body_limit,
            body_seconds=self._body_timeout,
        )
        runner = web.AppRunner(app, shutdown_timeout=self._shutdown_timeout)
        exits.push_async_callback(runner.cleanup)
        await runner.setup()
        # Before the clean-up, which would wait for what the faults hold back.
        exits.callback(entrance.close)
        # Not a Site of aiohttp's: it would speak aiohttp's own protocol.
        manager = cast("web.Server", runner.server)
        new_protocol = functools.partial(
            Protocol,
            manager,
            Connections(self._connection_limit),
            keepalive_timeout=self._keepalive_timeout,
            answer_timeout=self._answer_timeout,
        )
        server = await asyncio.get_running_loop().create_server(new_protocol, sock=listener)
        exits.callback(server.close)


async def _flush_now_and_then(database: Database, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await database.flush()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _revealed(secret: Secret | None) -> str:
    if secret is None:
        raise ConfigurationError("the LocalService was not started: use it with `async with`")
    return secret.reveal()
