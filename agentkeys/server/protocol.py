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
    """HTTP on one connection."""

    __slots__ = ("_lost",)

    def __init__(self, manager: web.Server, *, keepalive_timeout: float) -> None:
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
        self._lost: asyncio.Future[None] | None = None

    def lost(self) -> asyncio.Future[None]:
        """Return what is done when the connection is lost, or closed by the client."""
        if self._lost is None:
            self._lost = asyncio.get_running_loop().create_future()
            if self.transport is None:
                self._lost.set_result(None)
        return self._lost

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the connection is lost."""
        super().connection_lost(exc)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

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
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log that a connection failed, without the framework's text, which may quote a header."""
        del args
        logger.warning("a connection failed: %s", type(kw.get("exc_info")).__name__)
