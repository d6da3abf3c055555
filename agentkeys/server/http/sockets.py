"""Serve an application on a listening socket, until the exit stack ends it."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from aiohttp import web

from agentkeys.server.http.connections import CONNECTION_LIMIT, Connections
from agentkeys.server.http.protocol import Protocol

if TYPE_CHECKING:
    import contextlib
    import socket
    import ssl
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a socket; see `LocalService`."""

    keepalive_timeout: float = 75.0
    answer_timeout: float = 30.0
    connection_limit: int = CONNECTION_LIMIT
    shutdown_timeout: float = 5.0


async def serve_app(
    app: web.Application,
    listener: socket.socket,
    exits: contextlib.AsyncExitStack,
    limits: Limits,
    *,
    tls: ssl.SSLContext | None = None,
    closing: Callable[[], None] = lambda: None,
) -> None:
    """Serve *app* on *listener*; *closing* is called before running requests are awaited."""
    runner = web.AppRunner(app, shutdown_timeout=limits.shutdown_timeout)
    exits.push_async_callback(runner.cleanup)
    await runner.setup()
    exits.callback(closing)
    # Not a Site of aiohttp, which would use aiohttp's own protocol.
    new_protocol = functools.partial(
        Protocol,
        cast("web.Server", runner.server),
        Connections(limits.connection_limit),
        keepalive_timeout=limits.keepalive_timeout,
        answer_timeout=limits.answer_timeout,
    )
    # A silent client must not keep its connection, and a lost one must not delay the shutdown.
    server = await asyncio.get_running_loop().create_server(
        new_protocol,
        sock=listener,
        ssl=tls,
        ssl_handshake_timeout=limits.keepalive_timeout if tls else None,
        ssl_shutdown_timeout=limits.shutdown_timeout if tls else None,
    )
    exits.callback(server.close)
