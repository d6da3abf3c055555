"""An application on a listening socket, until the exit stack ends it."""

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
    """How long, and by how many, a socket is used; see `LocalService`."""

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
    """Serve *app* on *listener*; *closing* is called before the requests under way are awaited."""
    runner = web.AppRunner(app, shutdown_timeout=limits.shutdown_timeout)
    exits.push_async_callback(runner.cleanup)
    await runner.setup()
    exits.callback(closing)
    # Not a Site of aiohttp's: it would speak aiohttp's own protocol.
    new_protocol = functools.partial(
        Protocol,
        cast("web.Server", runner.server),
        Connections(limits.connection_limit),
        keepalive_timeout=limits.keepalive_timeout,
        answer_timeout=limits.answer_timeout,
    )
    # A client that says nothing must not hold its connection, and one that is gone no shutdown.
    server = await asyncio.get_running_loop().create_server(
        new_protocol,
        sock=listener,
        ssl=tls,
        ssl_handshake_timeout=limits.keepalive_timeout if tls else None,
        ssl_shutdown_timeout=limits.shutdown_timeout if tls else None,
    )
    exits.callback(server.close)
