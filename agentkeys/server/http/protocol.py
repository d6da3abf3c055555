"""HTTP on a connection: adds `X-Request-Id`, and formats errors as the services do.

Errors of the HTTP parser, and of an Expect header, do not reach an application's middlewares, but
they pass through here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import web

from agentkeys.server.ground.log import logger
from agentkeys.server.http.fields import BodyTooLateError
from agentkeys.server.http.heads import HEAD_LIMIT, HeadLimit, HeadTooLongError
from agentkeys.server.http.refusals import Refusal, refusal_response

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from agentkeys.server.http.connections import Connections

_LINGERING_SECONDS: Final = 2.0
# For steps that need no time, and must not delay the end if they do.
_LAST_SECONDS: Final = 0.1
_READ_SIZE: Final = 64 * 1024
_ID: Final = web.RequestKey("request_id", str)


def request_id(request: BaseRequest) -> str:
    """Return the id of the request, which its answer has as ``X-Request-Id``."""
    known = request.get(_ID)
    if known is None:
        # It is a name, not a secret. Asking the system for random bytes would release the GIL, and
        # wait until the database's thread releases it again.
        request[_ID] = known = f"req_{random.getrandbits(96):024x}"
    return known


def from_http_exception(error: web.HTTPException) -> Refusal:
    """Return the refusal for an error of the framework."""
    headers = {name: error.headers[name] for name in ("Allow",) if name in error.headers}
    return Refusal(error.status, f"{error.reason}.", headers=headers)


def client_gone(request: BaseRequest) -> asyncio.Future[None]:
    """Return a future that is done when the connection of *request* is lost or closed."""
    return cast("Protocol", request.protocol).lost()


class Protocol(web.RequestHandler):
    """HTTP on one connection.

    Args:
        manager: aiohttp's server.
        connections: all open connections.
        keepalive_timeout: seconds that a client has for the head of a request.
        answer_timeout: seconds that a client has to read an answer.
    """

    __slots__ = (
        "_answer_timeout",
        "_connections",
        "_is_ending",
        "_is_lingering",
        "_is_lost",
        "_is_surplus",
        "_lost",
        "_request",
        "_unread",
    )

    def __init__(
        self,
        manager: web.Server,
        connections: Connections,
        *,
        keepalive_timeout: float,
        answer_timeout: float,
    ) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=keepalive_timeout,
            # An access log shows paths, which may hold a key (Agentity's ?apiKey=).
            access_log=None,  # type: ignore[arg-type]  # None switches it off in aiohttp
            logger=logger,
            auto_decompress=False,
            # The rest of a refused request is read for so long, or the refusal would be lost.
            lingering_time=_LINGERING_SECONDS,
        )
        # aiohttp's own type for it is written in C, and cannot be extended.
        self._parser: Any = HeadLimit(self._parser, lambda: self._reading_paused)
        self._answer_timeout = answer_timeout
        self._unread: asyncio.TimerHandle | None = None
        self._is_lost = False
        self._connections = connections
        self._request: web.Request | None = None
        self._is_surplus = False
        self._is_ending = False
        self._is_lingering = False
        self._lost: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for its client, and not the client for it."""
        if self._request is None:
            return True
        if self.transport is None:
            return False
        is_whole = self._request.content.is_eof()
        return not is_whole or self.transport.get_write_buffer_size() > 0

    def begin(self, request: web.Request) -> bool:
        """Record that a request has begun, perhaps without its body; return False to refuse it."""
        self._request = request
        self._connections.renew(self)
        return not self._is_surplus

    def abandon(self) -> None:
        """Close the connection, even with a running request."""
        if self.transport is not None:
            self.transport.abort()

    def lost(self) -> asyncio.Future[None]:
        """Return a future that is done when the connection is lost, or closed by the client."""
        if self._lost is None:
            self._lost = asyncio.get_running_loop().create_future()
            if self.transport is None:
                self._lost.set_result(None)
        return self._lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Record that the connection is open."""
        self._is_surplus = not self._connections.add(self)
        # An answer counts as sent when the system has accepted it; until then writing is paused.
        cast("asyncio.Transport", transport).set_write_buffer_limits(high=0)
        # Data that is read at once may have to be kept while a request is running.
        with contextlib.suppress(AttributeError):
            transport.max_size = _READ_SIZE  # type: ignore[attr-defined]  # asyncio's own transports have it
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Close the connection if the client does not read in time."""
        super().pause_writing()
        if self.transport is not None:
            self._unread = self._loop.call_later(self._answer_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue: the client has read the data."""
        super().resume_writing()
        self._has_read()

    def _has_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    async def start(self) -> None:
        """Answer requests until the connection ends; a running request continues to its end."""
        try:
            await super().start()
        finally:
            self._request = None
            if self._is_lost:
                self._connections.discard(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Record that the connection is lost; it counts until its running request is done."""
        self._is_lost = True
        self._has_read()
        if self._request is None:
            self._connections.discard(self)
        super().connection_lost(exc)
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read data, unless an earlier error makes the rest unreadable."""
        parser = self._parser
        if self._is_lingering or parser is None or parser.error is not None:
            return
        super().data_received(data)
        if parser.error is not None:
            if not parser.has_raised:
                super().data_received(b"")  # because there were requests before it
            # aiohttp keeps the error until it is answered, and its frames hold all data that was
            # read.
            parser.error.__traceback__ = None

    @property
    def _has_begun(self) -> bool:
        """Whether a request is running, or has begun to arrive."""
        is_arriving = self._parser is not None and self._parser.is_within_head
        return self._request is not None or bool(self._messages) or is_arriving

    def close(self) -> None:
        """Read no further requests. A request that has begun to arrive is read and answered."""
        if self._has_begun:
            self._is_ending = True
        else:
            super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Stop when the running request is answered, or after *timeout* seconds."""
        task = self._task_handler
        if self._is_lingering:
            self.abandon()
        elif self._has_begun and task is not None:
            await asyncio.wait({task}, timeout=timeout)
            if self._request is not None and not self._request.content.is_eof():
                self._request.content.set_exception(BodyTooLateError())
                await asyncio.wait({task}, timeout=_LAST_SECONDS)
        await super().shutdown(_LAST_SECONDS)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed, or that the application could not answer."""
        # Neither is logged or repeated: a parser's message quotes the line, with its token.
        is_too_long = isinstance(exc, HeadTooLongError)
        del exc, message
        if request.writer.output_size > 0:
            raise ConnectionError
        self._is_lingering = status == 400
        text = "The request cannot be read as HTTP." if status == 400 else "The service failed."
        if is_too_long:
            status, text = 431, f"The head of the request is longer than {HEAD_LIMIT} bytes."
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
        cannot_go_on = self._parser is not None and self._parser.is_within_bad_body
        if self._is_lingering or cannot_go_on:
            await self._linger()
        if self._is_ending:
            self.close()
        return ended

    async def _linger(self) -> None:
        # Closing with unread data would be a reset, and the client may not have read the refusal
        # yet: the client sees the end, and the rest of its data is dropped.
        if self.transport is not None:
            # TLS has no half-closed connections.
            if self.transport.can_write_eof():
                self.transport.write_eof()
            await asyncio.wait([self.lost()], timeout=_LINGERING_SECONDS)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log that a connection failed, without the framework's text, which may quote a header."""
        del args
        logger.warning("a connection failed: %s", type(kw.get("exc_info")).__name__)
