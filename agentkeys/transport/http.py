"""Sending a request over HTTP, once. The only client module with aiohttp in it.

`Http.send` is the one place where something is sent. What goes wrong on the way is told in our own
words, with whether the service can have acted: aiohttp's errors hold the request, and so the token.
"""

from __future__ import annotations

import asyncio
import os
import platform
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from agentkeys import __version__
from agentkeys.errors import ClientClosedError, ConfigurationError
from agentkeys.transport.answer import CUT_SHORT, MAX_ANSWER, MAX_ERROR, Answer, Loss
from agentkeys.transport.json import dumps
from agentkeys.transport.lookup import Resolver
from agentkeys.transport.loops import PerLoop
from agentkeys.transport.settings import proxy_from_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from agentkeys.secret import Secret
    from agentkeys.transport.answer import End
    from agentkeys.transport.endpoint import Request
    from agentkeys.transport.progress import Progress
    from agentkeys.transport.settings import Proxy, Settings

__all__ = ["Http"]

_HEADERS: Final = {
    "Accept": "application/json",
    "User-Agent": (
        f"agentkeys/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
    ),
}
# The deadline is ours, around the whole call; aiohttp's own five minutes would cut into it.
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=None)
_NONE: Final[Mapping[str, Any]] = {}
# Whose request a connection is wanted for; aiohttp has no other way to hand it on.
_at_hand: Final[ContextVar[Progress]] = ContextVar("progress")


class Http:
    """Sends the requests of one client, in whatever event loop they are made.

    Args:
        settings: how calls are made.
        lent: an aiohttp session to use instead of our own. It is never closed.

    """

    def __init__(self, settings: Settings, lent: aiohttp.ClientSession | None) -> None:
        self._base_url = settings.base_url
        self._lent = lent
        self._closed = False
        self._proxy = settings.proxy
        if lent is None and self._proxy is None:
            self._proxy = proxy_from_environment(settings.base_url)
        self._own = PerLoop(partial(_open, settings, self._proxy))
        if lent is not None:
            _check_lent(lent)
        # What our own sessions were opened with, a lent one must be told each time.
        self._headers = _NONE if lent is None else _HEADERS
        self._options = _NONE if lent is None else _options_for(lent, settings)

    async def send(
        self, request: Request, authorization: Secret | None, progress: Progress
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
        except (aiohttp.ClientError, OSError) as error:
            # Words and no more: aiohttp's errors, and the frames below, hold the Authorization.
            return _lost(error, self._base_url)
        except BaseException as interruption:  # noqa: BLE001  # it goes on, without its frames
            progress.interrupt()
            if not (http.closed and isinstance(interruption, Exception)):
                interruption.__context__ = None
                raise interruption.with_traceback(None)  # noqa: B904  # it is the same one
        # The session was closed under the request, and aiohttp does not always say so.
        raise ClientClosedError("the client was closed during the call", applied="maybe")

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
        _check_usable(self._lent, progress)
        return self._lent

    async def _exchange(
        self,
        http: aiohttp.ClientSession,
        request: Request,
        authorization: Secret | None,
        progress: Progress,
    ) -> Answer:
        headers = dict(self._headers)
        if authorization is not None and request.endpoint.authorization is not None:
            headers["Authorization"] = f"{request.endpoint.authorization} {authorization.reveal()}"
        # Our own connector tells when there is a connection to send it on; that of a lent one not.
        progress.under_way = self._lent is not None
        _at_hand.set(progress)
        async with http.request(
            request.endpoint.method,
            # Encoded already: yarl would fold "%2E%2E" and the like into another path.
            URL(self._base_url + request.target, encoded=True),
            headers=headers,
            data=None if request.json is None else _body(request.json),
            allow_redirects=False,
            raise_for_status=False,
            timeout=_NO_TIMEOUT,
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
    return Answer(response.status, response.headers, body, end)


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


async def _open(
    settings: Settings, proxy: Proxy | None
) -> AsyncGenerator[aiohttp.ClientSession, None]:
    connector = _Connector(ssl=settings.ssl or True, resolver=Resolver())
    async with aiohttp.ClientSession(
        connector=connector,
        headers=_HEADERS,
        # A cookie would be one more secret to keep.
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_through(proxy),),
        proxy=proxy.address if proxy else None,
    ) as http:
        yield http


def _check_lent(lent: object) -> None:
    if not isinstance(lent, aiohttp.ClientSession):
        kind = type(lent).__name__
        raise ConfigurationError(f"session must be an aiohttp.ClientSession, not {kind}")
    if "Authorization" in lent.headers or lent.auth is not None:
        raise ConfigurationError(
            "the aiohttp session that the client was given has an Authorization of its own, which"
            " would go out in the place of the client's: give it one without"
        )


def _check_usable(lent: aiohttp.ClientSession, progress: Progress) -> None:
    if lent.closed:
        raise ClientClosedError(
            "the aiohttp session that the client was given is closed", applied=progress.applied
        )
    if lent._loop is not asyncio.get_running_loop():  # noqa: SLF001  # no public name says it without a warning
        raise ConfigurationError(
            "the aiohttp session that the client was given belongs to another event loop:"
            " give each loop its own, or give the client none"
        )


def _options_for(lent: aiohttp.ClientSession, settings: Settings) -> Mapping[str, Any]:
    # Middlewares of a request replace those of the session, so keep its own before ours.
    options: dict[str, Any] = {"middlewares": (*lent._middlewares, _through(settings.proxy))}  # noqa: SLF001
    if settings.ssl is not None:
        options["ssl"] = settings.ssl
    if settings.proxy is not None:
        options["proxy"] = settings.proxy.address
    return options


class _Connector(aiohttp.TCPConnector):
    """Notes when a request can be sent: before that, the service cannot have acted.

    And takes no connection from the pool on which something came while it was idle. Else those
    bytes, e.g. the 408 of a server that closes idle connections, would be taken for the answer to
    the next request. aiohttp looks when a connection goes into the pool, not when it comes out.
    """

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        looks = self.limit  # as many as the pool can hold; a new one is taken as it is
        while looks and connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
            looks -= 1
        _at_hand.get().under_way = True
        return connection


class _LostConnectionError(aiohttp.ClientConnectionError):
    """A connection broke under a request, and aiohttp must not send it again."""

    def __init__(self, words: str, number: int | None) -> None:
        super().__init__(words)
        self.errno = number


def _through(proxy: Proxy | None) -> aiohttp.ClientMiddlewareType:
    """Return the last of the middlewares: it signs in at the proxy, and sends a request once."""
    if proxy is None or proxy.basic is None:
        return _send_once
    basic = proxy.basic

    async def signed_in(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # Here alone: aiohttp shows a proxy's address in warnings, with the password that is in it.
        headers = {"Proxy-Authorization": f"Basic {basic.reveal()}"}
        if request.is_ssl():  # of which the proxy reads the CONNECT alone
            request.update_proxy(request.proxy, None, {**_HEADERS, **headers})
        else:
            request.headers.update(headers)
        return await _send_once(request, handler)

    return signed_in


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # aiohttp sends an idempotent request again by itself when a connection breaks under it. Then a
    # delete that worked comes back as 404, and `attempts` is wrong. Other errors it lets through.
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        words, number = str(error), getattr(error, "errno", None)
    raise _LostConnectionError(words, number)


def _lost(error: Exception, base_url: str) -> Loss:  # noqa: PLR0911  # one for each cause
    """Say in our own words what went wrong, and whether the service can have acted."""
    host = urlsplit(base_url).hostname
    match error:
        case aiohttp.ClientHttpProxyError():
            return Loss(
                f"the proxy answered {error.status}: check the proxy and its password",
                "no",
                lasting=error.status == 407,
            )
        case aiohttp.ClientProxyConnectionError():
            return Loss(
                f"could not connect to the proxy ({_reason(error.os_error)}): check it", "no"
            )
        case aiohttp.ClientConnectorDNSError():
            return Loss(f"the host name {host} could not be looked up: check the base URL", "no")
        case aiohttp.ClientConnectorCertificateError():
            return Loss(
                f"the TLS certificate of {host} is not trusted: check the address, or ssl",
                "no",
                lasting=True,
            )
        case aiohttp.ClientSSLError():
            return Loss(f"{host} does not speak TLS as we do: check the base URL, or ssl", "no")
        case aiohttp.ClientConnectorError():
            reason = _reason(error.os_error)
            return Loss(f"could not connect to {base_url} ({reason}): is it running?", "no")
        case aiohttp.ConnectionTimeoutError():
            return Loss(f"could not connect to {base_url} in time", "no")
        case aiohttp.ClientPayloadError():
            return CUT_SHORT
        case aiohttp.ClientResponseError():
            return Loss(f"what came back is not HTTP: check the base URL, {base_url}", "maybe")
    return Loss(f"the connection broke before the answer came ({_reason(error)})", "maybe")


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return "it was closed" if isinstance(error, _LostConnectionError) else type(error).__name__
