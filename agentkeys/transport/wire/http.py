"""Send a request over HTTP, once.

`Http.send` is the one place that sends. It reports failures in our own words, with whether the
service may have acted: aiohttp's errors hold the request, and so the token.
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

# Without a body, aiohttp would still send the content type application/octet-stream.
_NO_TYPE: Final = ("Content-Type",)


class Http:
    """Sends the requests of one client, in any event loop.

    Args:
        address: the address of the service.
        ssl: how TLS certificates are checked; None for the system's settings.
        proxy: the proxy of every request; None for the environment's.
        product: the program's name for the start of the User-Agent; "" for none.
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
        # A lent connector checks TLS with its own settings, so ours go with each request.
        self._options: dict[str, Any] = {} if ssl is None else {"ssl": ssl}
        # The middlewares of a request replace those of its session, so the session's come first
        # here.
        self._theirs = () if lent is None else tuple(lent._middlewares)  # noqa: SLF001  # it has no public name

    async def send(
        self, request: Request[Any], authorization: Secret | None, progress: Progress
    ) -> Answer | Loss:
        """Send *request* once; return the answer, or why no complete answer came.

        Args:
            request: the request.
            authorization: the credentials of the Authorization header, without the scheme.
            progress: records that a try begins, and when it may have reached the service.

        Raises:
            ClientClosedError: the session is closed, or was closed during the request.
            ConfigurationError: a lent session belongs to another loop.
        """
        http = self._session(progress) or await self._own.get()
        progress.begin()
        try:
            return await self._exchange(http, request, authorization, progress)
        except Exception as error:  # noqa: BLE001  # no foreign exception leaves this function
            if not http.closed:
                # Words only: aiohttp's errors, and the frames below, hold the Authorization header.
                return lost(error, self._address, self._proxy, written=progress.may_be_written)
        except BaseException as interruption:  # noqa: BLE001  # it is raised again, without its frames
            interruption.__context__ = None
            raise interruption.with_traceback(None)  # noqa: B904  # the same exception
        # The session was closed during the request; aiohttp does not always say so.
        raise ClientClosedError(
            sentence(
                request.endpoint, "the client was closed during the call", applied=progress.applied
            ),
            applied=progress.applied,
        )

    async def close(self) -> None:
        """Close the connections; later calls raise `ClientClosedError`. Closing twice is fine."""
        self._closed = True
        await self._own.close()

    def loops(self) -> tuple[asyncio.AbstractEventLoop, ...]:
        """Return the loops in which there are connections."""
        return self._own.loops()

    def secrets(self) -> tuple[Secret, ...]:
        """Return the values that must never be shown: the proxy's credentials."""
        return self._proxy.secrets if self._proxy else ()

    def _session(self, progress: Progress) -> aiohttp.ClientSession | None:
        """Return the session of this loop, or None if there is none yet."""
        if self._closed:
            raise ClientClosedError(
                "the client is closed: make a new one", applied=progress.applied
            )
        if self._lent is None:
            return self._own.current()
        check_usable(self._lent, progress.applied)
        if self._borrowed is None:
            self._borrowed = borrowed(self._lent, self._proxy, self._user_agent)
            # It owns no connection; without this, aiohttp would warn that it is not closed.
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
            # Encoded already: yarl would fold "%2E%2E" and similar into another path.
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
        response.close()  # reading the rest could take for ever
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
    """Read to the end, or a little more than *limit* bytes, whatever Content-Length says."""
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
