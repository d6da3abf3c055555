"""One try on the wire: the one place that knows when a request begins to be written.

Until then the service cannot have acted, whatever goes wrong; from then on it may have.
"""

from __future__ import annotations

import asyncio
import platform
import select
import ssl
from typing import TYPE_CHECKING, Final, cast
from weakref import WeakKeyDictionary

import aiohttp

from agentkeys import __version__

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler

    from agentkeys.secret import Secret
    from agentkeys.transport.progress import Progress

__all__ = [
    "USER_AGENT",
    "Exchange",
    "LostConnectionError",
    "OutgoingRequest",
    "SentTwiceError",
    "UnfitError",
]

USER_AGENT: Final = (
    f"agentkeys/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
)
# The connections that have carried a request of ours, and what tells why each of them ends.
_used: Final[WeakKeyDictionary[ResponseHandler, asyncio.Future[None] | None]] = WeakKeyDictionary()

# Turns of the loop in which it reads what waits on a socket: asyncio's own takes two.
_TURNS: Final = 5
_poll: Final = getattr(select, "poll", None)  # Windows has none


class UnfitError(aiohttp.ClientConnectionError):
    """A connection was closed, or talked out of turn, before the request was written."""

    def __init__(self, *, is_pooled: bool) -> None:
        super().__init__()
        self.is_pooled = is_pooled


class LostConnectionError(aiohttp.ClientConnectionError):
    """A connection broke under a request, and aiohttp must not send it again."""

    def __init__(self, words: str, number: int | None, tls: ssl.SSLError | None) -> None:
        super().__init__(words)
        self.errno = number
        self.tls = tls


class SentTwiceError(aiohttp.ClientError):
    """A middleware of a lent session would send again what must not be repeated."""


class OutgoingRequest(aiohttp.ClientRequest):
    """A request that looks at its connection before it is written, and says when it is."""

    exchange: Exchange

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Write the request to *conn*, if that is fit for it."""
        await self.exchange.before_writing(conn)
        return await super().send(conn)


class Exchange:
    """The last of the middlewares of one try: what it adds is in no frame that anybody sees.

    Args:
        progress: is told whether anything may have been written.
        idempotent: whether it does no harm to act on the request twice.
        scheme: that of the Authorization header, None for no such header.
        authorization: what stands behind the scheme.
        proxy: how to sign in at the proxy, behind "Basic".

    """

    __slots__ = (
        "_authorization",
        "_end",
        "_entered",
        "_idempotent",
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
        self._end: asyncio.Future[None] | None = None  # of the connection
        self._entered = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send *request*, which aiohttp and the middlewares before this one have made ready."""
        if not self._entered:
            self._enter()
        elif self._progress.under_way and not self._idempotent:
            raise SentTwiceError
        cast("OutgoingRequest", request).exchange = self  # as our sessions make them
        self._sign(request)
        while True:
            try:
                return await handler(request)
            except UnfitError as unfit:
                if not unfit.is_pooled:
                    raise
            except aiohttp.ClientConnectorError:
                raise
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                # aiohttp would send an idempotent request again by itself: a delete that worked
                # would come back as 404, and `attempts` be wrong.
                raise await _lost(error, self._end) from None
            # Another connection, then: from the pool, which has one less now, or else a new one.

    async def before_writing(self, connection: aiohttp.connector.Connection) -> None:
        """Note that the request is about to be written, or raise `UnfitError`."""
        protocol = connection.protocol
        if protocol is None or not await _is_fit(protocol):
            raise UnfitError(is_pooled=protocol in _used)
        if protocol not in _used:
            _used[protocol] = _watched(protocol)
        self._end = _used[protocol]
        self._progress.under_way = True

    async def first(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Note that nothing is written yet: as a middleware before those of a lent session."""
        self._enter()
        return await handler(request)

    def _enter(self) -> None:
        self._entered = True
        self._progress.under_way = False

    def _sign(self, request: aiohttp.ClientRequest) -> None:
        if self._authorization is not None and self._scheme is not None:
            request.headers["Authorization"] = f"{self._scheme} {self._authorization.reveal()}"
        if self._proxy is None:
            return
        # Here alone: aiohttp shows a proxy's address in warnings, with the password that is in it.
        if request.is_ssl():  # of which the proxy reads the CONNECT alone
            request.update_proxy(
                request.proxy,
                None,
                {"User-Agent": USER_AGENT, "Proxy-Authorization": f"Basic {self._proxy.reveal()}"},
            )
        else:
            request.headers["Proxy-Authorization"] = f"Basic {self._proxy.reveal()}"


async def _is_fit(protocol: ResponseHandler) -> bool:
    """Whether a connection is open, and nothing has come on it that nobody asked for.

    aiohttp knows what the loop has read. While the program computes, the loop reads nothing: then
    the end of a connection, or the 408 of a server that closes idle ones, waits on the socket.
    """
    for _ in range(_TURNS):
        transport = protocol.transport
        if transport is None or transport.is_closing() or protocol.should_close:
            return False
        if not _waits(transport):
            return True
        if protocol in _used or transport.get_extra_info("sslcontext") is None:
            return False
        await asyncio.sleep(0)  # on new TLS these may be tickets (RFC 8446, 4.6.1): the loop reads
    return False


def _waits(transport: asyncio.Transport) -> bool:
    """Whether bytes, or the end, wait unread on a transport's socket."""
    socket = transport.get_extra_info("socket")
    if socket is None or socket.fileno() < 0:
        return False
    if _poll is None:
        return bool(select.select([socket], [], [], 0)[0])
    looking = _poll()
    looking.register(socket.fileno(), select.POLLIN)
    return bool(looking.poll(0))


def _watched(protocol: ResponseHandler) -> asyncio.Future[None] | None:
    """Return what is done when a connection ends; its exception is why."""
    end = protocol.closed
    if end is not None:
        end.add_done_callback(_tls)  # which looks at it: else asyncio would log that nobody did
    return end


async def _lost(
    error: aiohttp.ClientError, end: asyncio.Future[None] | None
) -> LostConnectionError:
    """Keep of an error its words, and what TLS says: it holds the request, and so the token.

    If TLS ended while the request was being written, aiohttp speaks of the writing alone.
    """
    tls = error.__cause__
    if end is not None and not isinstance(tls, ssl.SSLError):
        await asyncio.wait([end], timeout=0)
        tls = _tls(end)
    return LostConnectionError(
        str(error),
        getattr(error, "errno", None),
        tls if isinstance(tls, ssl.SSLError) else None,
    )


def _tls(end: asyncio.Future[None]) -> BaseException | None:
    error = end.exception() if end.done() and not end.cancelled() else None
    return error and error.__cause__
