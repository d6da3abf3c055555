"""The last hand on every answer: a request id, and the service's own shape of an error.

The errors of the HTTP parser, and of an Expect header, never reach an application's middlewares;
they do come through here.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from agentkeys.server.log import logger
from agentkeys.server.refusals import Refusal, refusal_response

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from agentkeys.server.connections import Connections

_LINGERING_SECONDS: Final = 2.0
_ID: Final = web.RequestKey("request_id", str)


def request_id(request: BaseRequest) -> str:
    """Return the id of the request, which its answer carries as ``X-Request-Id``."""
    known = request.get(_ID)
    if known is None:
        # A name and no secret. Asking the system for its bytes would let go of the GIL, and wait
        # until the database's thread gives it back.
        request[_ID] = known = f"req_{random.getrandbits(96):024x}"
    return known


def from_http_exception(error: web.HTTPException) -> Refusal:
    """Return the refusal that stands for an error of the framework's."""
    headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return Refusal(error.status, f"{error.reason}.", headers=headers)


class Protocol(web.RequestHandler):
    """HTTP on one connection.

    Args:
        manager: aiohttp's server.
        connections: all that are open.
        keepalive_timeout: seconds that a client has for the head of a request.
    """

    __slots__ = ("_connections", "_is_lingering", "_is_surplus", "_lost", "_request")

    def __init__(
        self, manager: web.Server, connections: Connections, *, keepalive_timeout: float
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=keepalive_timeout,
            # An access log shows addresses, and a key may stand in one (Agentity's ?apiKey=).
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp turns it off
            logger=logger,
            auto_decompress=False,
            # What still comes after a refusal is read for so long, or the refusal would be lost.
            lingering_time=_LINGERING_SECONDS,
        )
        self._connections = connections
        self._request: web.Request | None = None
        self._is_surplus = False
        self._is_lingering = False
        self._lost: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for its client, and not the client for it."""
        if self._request is None or self.transport is None:
            return True
        is_whole = self._request.content.is_eof()
        return not is_whole or self.transport.get_write_buffer_size() > 0

    def begin(self, request: web.Request) -> bool:
        """Note that a request is there, its body perhaps not; False if it cannot be acted on."""
        self._request = request
        self._connections.renew(self)
        return not self._is_surplus

    def abandon(self) -> None:
        """Close the connection, whatever is under way on it."""
        if self.transport is not None:
            self.transport.abort()

    def lost(self) -> asyncio.Future[None]:
        """Return what is done when the connection is lost, or closed by the client."""
        if self._lost is None:
            self._lost = asyncio.get_running_loop().create_future()
            if self.transport is None:
                self._lost.set_result(None)
        return self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that the connection is open."""
        self._is_surplus = not self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the connection is lost."""
        self._connections.discard(self)
        super().connection_lost(exc)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read what came, unless nothing more can be read after what came before."""
        if not self._is_lingering:
            super().data_received(data)

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """End, once the request under way is answered."""
        if self._is_lingering:
            self.abandon()
        await super().shutdown(timeout)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed, or that the application could not answer."""
        # Neither is logged or repeated: a parser's message quotes the line, token and all.
        del exc, message
        if request.writer.output_size > 0:
            raise ConnectionError
        self._is_lingering = status == 400
        text = "The request cannot be read as HTTP." if status == 400 else "The service failed."
        return refusal_response(request.path, Refusal(status, text, code="http", closes=True))

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer."""
        if isinstance(resp, web.HTTPException):
            resp = refusal_response(request.path, from_http_exception(resp))
        if not resp.prepared:
            resp.headers["X-Request-Id"] = request_id(request)
        ended = await super().finish_response(request, resp, start_time)
        self._request = None
        self._connections.renew(self)
        if self._is_lingering:
            await self._linger()
        return ended

    async def _linger(self) -> None:
        # To close with something unread would be a reset, and the client may not have read yet
        # that it is refused: it sees the end, and what it still sends is thrown away.
        if self.transport is not None:
            self.transport.write_eof()
            await asyncio.wait([self.lost()], timeout=_LINGERING_SECONDS)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log that a connection failed, without the framework's text, which may quote a header."""
        del args
        logger.warning("a connection failed: %s", type(kw.get("exc_info")).__name__)
