"""One try on the wire: the one place that knows when writing a request begins.

Before that, the service cannot have acted on the request, whatever fails; after it, it may have.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from typing import TYPE_CHECKING, Any, Final, Self, cast
from weakref import WeakKeyDictionary

import aiohttp

from agentkeys.transport.call.progress import UNDER_WAY, UNSENT, Progress

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from agentkeys.secret import Secret

__all__ = [
    "Exchange",
    "LostConnectionError",
    "OutgoingRequest",
    "SentTwiceError",
    "UnfitError",
]

# Turns of the loop in which it reads the data that waits on a socket: asyncio's own takes two.
_TURNS: Final = 5
# Unfit connections that carried none of our requests: they are new, or from a lent pool.
_STRANGE: Final = 3


class UnfitError(aiohttp.ClientConnectionError):
    """The connection was closed, or received unexpected data, before the request was written."""

    def __init__(self, *, is_pooled: bool) -> None:
        super().__init__()
        self.is_pooled = is_pooled


class LostConnectionError(aiohttp.ClientConnectionError):
    """The connection broke during a request; aiohttp must not send the request again."""

    def __init__(self, words: str, number: int | None, tls: ssl.SSLError | None) -> None:
        super().__init__(words)
        self.errno = number
        self.tls = tls


class SentTwiceError(aiohttp.ClientError):
    """A middleware of a lent session tried to repeat a request that must not be repeated."""


class OutgoingRequest(aiohttp.ClientRequest):
    """A request that checks its connection before it is written, and reports that it is written."""

    exchange: Exchange

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Write the request to *conn*, if that connection is fit for it."""
        protocol = conn.protocol
        line = None if protocol is None else _lines.get(protocol) or _Line(protocol)
        if protocol is None or line is None:
            raise UnfitError(is_pooled=False)
        if not (line.is_fit(protocol) or await line.becomes_fit(protocol)):
            raise UnfitError(is_pooled=line.has_carried)
        line.has_carried = True
        self.exchange.write_to(line)
        return await super().send(conn)


class Exchange:
    """The last middleware of one try; the credentials that it adds show in no traceback.

    Args:
        progress: records whether a part of the request may have been written.
        idempotent: whether the service may act on the request twice without harm.
        scheme: the scheme of the Authorization header; None for no header.
        authorization: the credentials after the scheme.
        proxy: the Basic credentials for the proxy.
    """

    __slots__ = (
        "_authorization",
        "_entered",
        "_idempotent",
        "_line",
        "_progress",
        "_proxy",
        "_scheme",
    )

    def __init__(
        self,
        progress: Progress,
        *,
        idempotent: bool,
        scheme: str | None,
        authorization: Secret | None,
        proxy: Secret | None,
    ) -> None:
        self._progress = progress
        self._idempotent = idempotent
        self._scheme = scheme
        self._authorization = authorization
        self._proxy = proxy
        self._line: _Line | None = None
        self._entered = False

    def __deepcopy__(self, _: object) -> Self:
        # A fake of aiohttp keeps a copy of a request's arguments; there is only one try.
        return self

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send *request*, which aiohttp and the middlewares before this one have prepared."""
        if not self._entered:
            self._enter()
        elif self._progress.may_be_written and not self._idempotent:
            raise SentTwiceError
        cast("OutgoingRequest", request).exchange = self  # our sessions make requests of this class
        self._sign(request)
        strange = 0
        while True:
            try:
                return await handler(request)
            except UnfitError as unfit:
                strange += not unfit.is_pooled
                if strange > _STRANGE:
                    raise
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                # aiohttp would send an idempotent request again by itself: a delete that worked
                # would return 404, and `attempts` would be wrong.
                raise await _lost(error, self._line) from None
            # Retry on another connection: from the pool, which now has one less, or a new one.
            await asyncio.sleep(0)

    def write_to(self, line: _Line) -> None:
        """Record that writing the request begins."""
        self._line = line
        self._progress.update(UNDER_WAY)

    async def first(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Record that nothing is written yet; this runs before a lent session's middlewares."""
        self._enter()
        return await handler(request)

    def _enter(self) -> None:
        self._entered = True
        self._progress.update(UNSENT)

    def _sign(self, request: aiohttp.ClientRequest) -> None:
        if self._authorization is not None and self._scheme is not None:
            request.headers["Authorization"] = f"{self._scheme} {self._authorization.reveal()}"
        if self._proxy is None:
            return
        # Only here: aiohttp shows a proxy's address in warnings, with the password in it.
        if request.is_ssl():  # the proxy sees the CONNECT only
            request.update_proxy(
                request.proxy,
                None,
                {
                    "User-Agent": request.headers["User-Agent"],
                    "Proxy-Authorization": f"Basic {self._proxy.reveal()}",
                },
            )
        else:
            request.headers["Proxy-Authorization"] = f"Basic {self._proxy.reveal()}"


class _Line:
    """The state of a connection that aiohttp does not keep.

    Args:
        protocol: aiohttp's side of the connection. No reference to it is kept, or it would never be
            freed.

    Attributes:
        has_carried: whether it has carried one of our requests.
        end: a future that is done when the connection ends; its exception is the reason.
    """

    __slots__ = ("_looking", "_socket", "end", "has_carried", "is_tls")

    def __init__(self, protocol: ResponseHandler) -> None:
        _lines[protocol] = self
        self.has_carried = False
        self.end = protocol.closed
        if self.end is not None:
            self.end.add_done_callback(_tls)  # or asyncio would log that nobody retrieved it
        transport = protocol.transport
        self.is_tls = transport is not None and bool(transport.get_extra_info("sslcontext"))
        self._socket: Any = None if transport is None else transport.get_extra_info("socket")
        self._looking = select.poll() if hasattr(select, "poll") else None  # Windows has no poll
        if self._looking is not None and self._socket is not None and self._socket.fileno() >= 0:
            self._looking.register(self._socket, select.POLLIN)

    def is_fit(self, protocol: ResponseHandler) -> bool:
        """Whether it is open, and has received no unexpected data.

        aiohttp knows the data that the loop has read. While the program computes, the loop reads
        nothing: then the end of a connection, or the 408 of a server that closes idle ones, waits
        on the socket.
        """
        transport = protocol.transport
        if transport is None or transport.is_closing() or protocol.should_close:
            return False
        if self._looking is not None:
            return not self._looking.poll(0)
        return self._socket is None or not select.select([self._socket], [], [], 0)[0]

    async def becomes_fit(self, protocol: ResponseHandler) -> bool:
        """Whether the data on a new TLS connection is only session tickets; the loop reads these.

        See RFC 8446, 4.6.1. On any other connection, data before the request is unexpected.
        """
        turns = _TURNS
        while self.is_tls and turns and not (self.has_carried or protocol.should_close):
            await asyncio.sleep(0)
            if self.is_fit(protocol):
                return True
            turns -= 1
        return False


_lines: Final[WeakKeyDictionary[ResponseHandler, _Line]] = WeakKeyDictionary()


async def _lost(error: aiohttp.ClientError, line: _Line | None) -> LostConnectionError:
    """Return an error with the words of *error*, and TLS's reason; *error* holds the token.

    If TLS ended while the request was being written, aiohttp reports only the failed write.
    """
    tls = error.__cause__
    if line is not None and line.end is not None and not isinstance(tls, ssl.SSLError):
        await asyncio.wait([line.end], timeout=0)
        tls = _tls(line.end)
    return LostConnectionError(
        str(error),
        getattr(error, "errno", None),
        tls if isinstance(tls, ssl.SSLError) else None,
    )


def _tls(end: asyncio.Future[None]) -> BaseException | None:
    error = end.exception() if end.done() and not end.cancelled() else None
    return error and error.__cause__
