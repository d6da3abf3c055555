"""One run of a local service: it opens everything that the settings need, and closes it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentkeys.server import openapi, probes
from agentkeys.server.agentity.access_tokens import AccessTokens
from agentkeys.server.agentity.routes import Agentity
from agentkeys.server.agentry.cursors import Cursors
from agentkeys.server.agentry.routes import Agentry
from agentkeys.server.app import create_app
from agentkeys.server.bootstrap import Start, initialise
from agentkeys.server.faults.entrance import Entrance
from agentkeys.server.http.listening import listen, url_of
from agentkeys.server.http.sockets import Limits, serve_app
from agentkeys.server.storage import derived
from agentkeys.server.storage.database import Database
from agentkeys.server.storage.file import file_of
from agentkeys.server.storage.key_format import digest_of
from agentkeys.server.storage.passwords import Passwords
from agentkeys.server.storage.used_times import UsedTimes

if TYPE_CHECKING:
    import socket
    from pathlib import Path
    from ssl import SSLContext

    from aiohttp import web
    from aiohttp.typedefs import Middleware

    from agentkeys.secret import Secret
    from agentkeys.server.faults.queue import Faults
    from agentkeys.server.ground.clock import Clock
    from agentkeys.server.ground.rate import Rate
    from agentkeys.server.http.hosts import Hosts
    from agentkeys.server.http.record import Requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The checked arguments of `LocalService`, and what stays when it is started again."""

    database: str | None
    host: str
    port: int
    hosts: Hosts
    access_token_lifetime: float
    refresh_token_lifetime: float
    body_limit: int
    body_timeout: float
    limits: Limits
    used_at_interval: float
    clock: Clock
    rate: Rate | None
    faults: Faults
    requests: Requests
    tls: SSLContext | None
    start: Start
    middlewares: tuple[Middleware, ...]


@dataclass(frozen=True, slots=True)
class Running:
    """The resources of a started service; `exits` closes them."""

    database: Database
    agentity: Agentity
    entrance: Entrance
    password: Secret
    agentry_token: Secret
    url: str
    exits: contextlib.AsyncExitStack


async def run(settings: Settings) -> Running:
    """Start the service.

    Raises:
        ConfigurationError: the port is in use, or the database cannot be used.
    """
    file = file_of(settings.database)
    async with contextlib.AsyncExitStack() as exits:
        # The port first: if it is in use, no database is created.
        listener = await listen(settings.host, settings.port)
        exits.callback(listener.close)
        return await _run(settings, file, listener, exits)


async def _run(
    settings: Settings,
    file: Path | None,
    listener: socket.socket,
    exits: contextlib.AsyncExitStack,
) -> Running:
    used = UsedTimes()
    database = Database(file, used)
    exits.push_async_callback(database.close)
    exits.push_async_callback(database.flush)
    start = settings.start
    master = await database.open(functools.partial(initialise, file=file, start=start))
    passwords = Passwords()
    exits.callback(passwords.close)
    token, clock = start.token_of(master), settings.clock
    tokens = AccessTokens(derived.signing_key(master), settings.access_token_lifetime, clock)
    agentity = Agentity(database, passwords, tokens, settings.refresh_token_lifetime, clock)
    cursors = Cursors(derived.cursor_key(master))
    agentry = Agentry(database, used, cursors, digest_of(token), clock)
    routes = [*agentity.routes(), *agentry.routes(), *openapi.routes(), *probes.routes(database)]
    entrance = await _serve(settings, routes, listener, exits)
    flushing = asyncio.create_task(_flush_now_and_then(database, settings.used_at_interval))
    exits.push_async_callback(_cancelled, flushing)
    url = url_of(listener, "http" if settings.tls is None else "https")
    password = start.password_of(master)
    return Running(database, agentity, entrance, password, token, url, exits.pop_all())


async def _serve(
    settings: Settings,
    routes: list[web.RouteDef],
    listener: socket.socket,
    exits: contextlib.AsyncExitStack,
) -> Entrance:
    settings.hosts.listen_on(listener.getsockname()[0])
    entrance = Entrance(settings.faults, settings.requests, settings.hosts, settings.rate)
    app = create_app(
        routes,
        entrance,
        middlewares=settings.middlewares,
        body_limit=settings.body_limit,
        body_seconds=settings.body_timeout,
    )
    # Closed before the clean-up, which would wait for the requests that faults hold back.
    closing = entrance.close
    await serve_app(app, listener, exits, settings.limits, tls=settings.tls, closing=closing)
    return entrance


async def _flush_now_and_then(database: Database, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await database.flush()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
