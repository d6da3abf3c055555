"""Sending a request over HTTP, once.

`Http.send` is the one place where something is sent. What goes wrong on the way is told in our own
words, with whether the service can have acted: aiohttp's errors hold the request, and so the token.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from agentkeys.errors import ClientClosedError
from agentkeys.transport.call.wording import sentence
from agentkeys.transport.reading.answer import MAX_ANSWER, MAX_ERROR, Answer, Loss
from agentkeys.transport.reading.json import dumps
from agentkeys.transport.wire.coding import decoded
from agentkeys.transport.wire.exchange import Exchange
from agentkeys.transport.wire.loops import PerLoop
from agentkeys.transport.wire.losses import lost
from agentkeys.transport.wire.proxy import proxy_from_environment
from agentkeys.transport.wire.sessions import (
    MAX_HEAD,
    borrowed,
    check_lent,
    check_usable,
    opened,
    proxy_of,
    user_agent,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from ssl import SSLContext

    from agentkeys.secret import Secret
    from agentkeys.transport.call.endpoint import Request
    from agentkeys.transport.call.progress import Progress
    from agentkeys.transport.reading.answer import End
    from agentkeys.transport.wire.address import Address
    from agentkeys.transport.wire.proxy import Proxy

__all__ = ["Http"]

# aiohttp would say that a body which is not there is application/octet-stream.
_NO_TYPE: Final = ("Content-Type",)


class Http:
    """Sends the requests of one client, in whatever event loop they are made.

    Args:
        address: where the service is.
        ssl: how TLS is checked; None for the system's way.
        proxy: what every request goes through; None for what the environment says.
        product: what the program calls itself in the User-Agent, before us; "" for nothing.
        lent: an aiohttp session whose connections to use. It is never closed.

    """

    def __init__(
        self,
        address: Address,
        *,
        ssl: SSLContext | None,
        proxy: Proxy | None,
        product: str,
        lent: aiohttp.ClientSession | None,
    ) -> None:
        self._address = address
        self._base_url = address.url
        self._lent = lent
        self._borrowed: aiohttp.ClientSession | None = None
        self._closed = False
        self._proxy = proxy
        if lent is not None:
            check_lent(lent)
            self._proxy = proxy or proxy_of(lent, address)
        elif self._proxy is None:
            self._proxy = proxy_from_environment(address)
        self._user_agent = user_agent(product)
        self._own = PerLoop(partial(opened, ssl, self._proxy, self._user_agent))
        # A lent connector checks TLS in its own way, and must be told ours each time.
        self._options: dict[str, Any] = {} if ssl is None else {"ssl": ssl}
        # Middlewares of a request replace those of its session, so keep theirs before ours.
        self._theirs = () if lent is None else tuple(lent._middlewares)  # noqa: SLF001  # it has no public name

    async def send(
        self, request: Request[Any], authorization: Secret | None, progress: Progress
    ) -> Answer | Loss:
        """Send *request* once; return what came back, or why no whole answer did.

        Args:
            request: what to send.
            authorization: what its Authorization header holds behind the scheme.
            progress: is told that a try begins, and when it may have reached the service.

        Raises:
            ClientClosedError: the session is closed, or was closed under the request.
            ConfigurationError: a lent session belongs to another loop.

        """
        http = self._session(progress) or await self._own.get()
        progress.begin()
        try:
            return await self._exchange(http, request, authorization, progress)
        except Exception as error:  # noqa: BLE001  # nothing of others leaves this place
            if not http.closed:
                # Words and no more: aiohttp's errors, and the frames below, hold the Authorization.
                return lost(error, self._address, self._proxy, written=progress.may_be_written)
        except BaseException as interruption:  # noqa: BLE001  # it goes on, without its frames
            interruption.__context__ = None
            raise interruption.with_traceback(None)  # noqa: B904  # it is the same one
        # The session was closed under the request, and aiohttp does not always say so.
        raise ClientClosedError(
            sentence(
                request.endpoint, "the client was closed during the call", applied=progress.applied
            ),
            applied=progress.applied,
        )

    async def close(self) -> None:
        """Close the connections, and refuse to send from now on. Closing twice is fine."""
        self._closed = True
        await self._own.close()

    def loops(self) -> tuple[asyncio.AbstractEventLoop, ...]:
        """Return the loops in which it has connections."""
        return self._own.loops()

    def secrets(self) -> tuple[Secret, ...]:
        """Return what must show nowhere: how to sign in at the proxy."""
        return self._proxy.secrets if self._proxy else ()

    def _session(self, progress: Progress) -> aiohttp.ClientSession | None:
        """Return the session of this loop, None if one must be opened first."""
        if self._closed:
            raise ClientClosedError(
                "the client is closed: make another one", applied=progress.applied
            )
        if self._lent is None:
            return self._own.current()
        check_usable(self._lent, progress.applied)
        if self._borrowed is None:
            self._borrowed = borrowed(self._lent, self._proxy, self._user_agent)
            # It has nothing to close; aiohttp would warn that it is not.
            weakref.finalize(self, self._borrowed.detach)
        return self._borrowed

    async def _exchange(
        self,
        http: aiohttp.ClientSession,
        request: Request[Any],
        authorization: Secret | None,
        progress: Progress,
    ) -> Answer:
        exchange = Exchange(
            progress,
            idempotent=request.endpoint.idempotent,
            scheme=request.endpoint.authorization,
            authorization=authorization,
            proxy=None if self._proxy is None else self._proxy.basic,
        )
        method = request.endpoint.method
        async with http.request(
            method,
            # Encoded already: yarl would fold "%2E%2E" and the like into another path.
            URL(self._base_url + request.target, encoded=True),
            data=None if request.json is None else _body(request.json),
            skip_auto_headers=_NO_TYPE if request.json is None and method == "POST" else None,
            allow_redirects=False,
            middlewares=(
                (exchange.first, *self._theirs, exchange) if self._theirs else (exchange,)
            ),
            **self._options,
        ) as response:
            return await _answer(response)


def _body(document: Mapping[str, object]) -> aiohttp.BytesPayload:
    return aiohttp.BytesPayload(dumps(document), content_type="application/json")


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    limit = MAX_ANSWER if 200 <= response.status < 300 else MAX_ERROR
    body, end = await _bounded(response.content, limit)
    if end != "whole":
        response.close()  # rather than drain what may have no end
    encoding = response.headers.get("Content-Encoding")
    if encoding is not None:
        body, undamaged = decoded(body, encoding, limit)
        if len(body) > limit:
            body, end = body[:limit], "too long"
        elif end == "whole" and not undamaged:
            end = "garbled"
    if end == "whole" and _size(response) > MAX_HEAD:
        end = "under a head too long"
    return Answer(response.status, response.headers, body, end)


def _size(response: aiohttp.ClientResponse) -> int:
    size = 0
    for name, value in response.raw_headers:
        size += len(name) + len(value) + 4  # a colon, a space, and the end of the line
    return size


async def _bounded(content: aiohttp.StreamReader, limit: int) -> tuple[bytes, End]:
    """Read to the end, or a little past *limit* bytes, whatever Content-Length says."""
    chunks: list[bytes] = []
    size = 0
    try:
        while size <= limit and not (chunks and content.at_eof()):
            chunks.append(await content.readany())
            size += len(chunks[-1])
    except aiohttp.ClientPayloadError:
        return b"".join(chunks), "cut short"
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return (body, "whole") if size <= limit else (body[:limit], "too long")
