"""The session: how a call gets to the service and back. The only client module with aiohttp in it.

`Session.call` is the whole way of a call: one deadline around the tries, the waits between them and
the renewal of the token. `_exchange` is the one place where something is sent.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import platform
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp
from yarl import URL

from agentkeys import __version__
from agentkeys.errors import (
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    RequestError,
    TransportError,
)
from agentkeys.secret import Secret, mask
from agentkeys.transport import check
from agentkeys.transport.answer import (
    MAX_ANSWER,
    MAX_ERROR,
    Answer,
    named,
    read,
    refused,
    request_id,
)
from agentkeys.transport.endpoint import Endpoint, Request, build
from agentkeys.transport.json import dumps
from agentkeys.transport.loops import PerLoop
from agentkeys.transport.progress import Progress, is_gone_as_wanted, late, uncertainty
from agentkeys.transport.settings import proxy_from_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from agentkeys.credentials import Credentials
    from agentkeys.errors import Applied
    from agentkeys.transport.settings import Settings

__all__ = ["Session"]

T = TypeVar("T")

logger: Final = logging.getLogger("agentkeys")

_USER_AGENT: Final = (
    f"agentkeys/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
)
# The deadline is ours, around the whole call; aiohttp's own five minutes would cut into it.
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=None)
_NONE: Final[Mapping[str, Any]] = {}


class Session:
    """Makes the calls of one client, in whatever event loop they are made.

    Args:
        settings: how calls are made.
        credentials: where the bearer token comes from.
        lent: an aiohttp session to use instead of our own. It is never closed.

    """

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        lent: aiohttp.ClientSession | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self._closed = False
        self._lent = lent
        self._own = PerLoop(partial(_open, settings))
        # What our own sessions were opened with, a lent one must be told each time.
        self._options = _NONE if lent is None else _options_for(lent, settings)

    async def call(
        self,
        endpoint: Endpoint[T],
        *,
        path: Mapping[str, str | int] = _NONE,
        query: Mapping[str, str | int | None] = _NONE,
        json: Mapping[str, object] | None = None,
        authorization: Secret | None = None,
        timeout: float | None = None,
    ) -> T:
        """Make one call and return the record that it answers with.

        Args:
            endpoint: what to call.
            path: the ids in its path.
            query: its parameters; those that are None are left out.
            json: its body; a Secret in it is sent revealed.
            authorization: the Authorization header, for an endpoint that takes no bearer token.
            timeout: seconds for all of it; the client's own if None.

        Raises:
            InvalidArgumentError, ClientClosedError: nothing was sent.
            RequestError: see `agentkeys.errors`.

        """
        seconds = self._settings.timeout if timeout is None else check.timeout(timeout)
        request = build(endpoint, path, query, json)
        progress = Progress()
        limit = asyncio.timeout(None if seconds == math.inf else seconds)
        try:
            async with limit:
                return await self._tries(request, authorization, progress, limit)  # type: ignore[no-any-return]  # `read` makes what `endpoint.returns` says
        except TimeoutError:
            if not limit.expired():
                raise
        raise late(request, progress, seconds)

    async def close(self) -> None:
        """Close the connections, and refuse calls from now on. Closing twice is fine."""
        self._closed = True
        await self._own.close()

    async def _tries(
        self,
        request: Request,
        authorization: Secret | None,
        progress: Progress,
        limit: asyncio.Timeout,
    ) -> Any:
        while True:
            if request.endpoint.authorization == "Bearer":
                authorization = await self._bearer(progress, limit)
            result = await self._try(request, authorization, progress)
            if not isinstance(result, RequestError):
                return result
            if is_gone_as_wanted(request, result, progress):
                return None
            progress.note(result)
            if not await self._is_cured(request, result, authorization, progress, limit):
                await self._wait(request, result, progress, limit)

    async def _bearer(self, progress: Progress, limit: asyncio.Timeout) -> Secret:
        token = self._credentials.current() or progress.renewed
        return token or await self._renew(None, progress, limit)

    async def _is_cured(
        self,
        request: Request,
        error: RequestError,
        token: Secret | None,
        progress: Progress,
        limit: asyncio.Timeout,
    ) -> bool:
        """Renew the token after a 401, once in a call; True if there is a new one to try.

        A 401 that stays is reported, and the token is kept: it may mean "not your key".
        """
        if not isinstance(error, AuthenticationError) or progress.renewed is not None:
            return False
        if request.endpoint.authorization != "Bearer":
            return False
        if await self._renew(token, progress, limit) is token:
            return False
        progress.free += 1
        return True

    async def _renew(
        self, token: Secret | None, progress: Progress, limit: asyncio.Timeout
    ) -> Secret:
        patience = max(_remaining(limit), self._settings.timeout)
        try:
            progress.renewed = await self._credentials.renew(self, token, patience)
        except RequestError as error:
            # What failed is the login; what the caller asks is whether his own call was acted on.
            error.applied = progress.applied
            raise
        return progress.renewed

    async def _wait(
        self, request: Request, error: RequestError, progress: Progress, limit: asyncio.Timeout
    ) -> None:
        """Wait for the next try, or raise *error* if there is none, or none within the deadline."""
        seconds = self._settings.retry.wait(
            error,
            tried=progress.attempts - progress.free,
            idempotent=request.endpoint.idempotent,
            chance=random.random(),  # noqa: S311  # jitter needs no cryptography
        )
        if seconds is None or seconds >= _remaining(limit):
            raise error
        await asyncio.sleep(seconds)

    async def _try(self, request: Request, authorization: Secret | None, progress: Progress) -> Any:
        """Send *request* once; return the record that answers it, or the error."""
        begun = time.perf_counter()
        http = await self._http()
        progress.begin()
        answer = None
        try:
            answer = await self._exchange(http, request, authorization, progress)
        except Exception as error:  # noqa: BLE001  # aiohttp's errors hold the Authorization header
            result: Any = self._lost(request, error)
        except BaseException as interruption:  # noqa: BLE001  # it goes on, without its frames
            progress.interrupt()
            # The frames below hold the Authorization header too.
            interruption.__context__ = None
            raise interruption.with_traceback(None)  # noqa: B904  # it is the same one
        else:
            result = self._read(request, answer, authorization)
        if logger.isEnabledFor(logging.DEBUG):
            self._log(request, result, answer, begun, progress)
        return result

    async def _http(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ClientClosedError("the client is closed: make another one")
        if self._lent is None:
            return await self._own.get()
        if self._lent.closed:
            raise ClientClosedError("the aiohttp session that the client was given is closed")
        if self._lent._loop is not asyncio.get_running_loop():  # noqa: SLF001  # no public name says it without a warning
            raise ConfigurationError(
                "the aiohttp session that the client was given belongs to another event loop:"
                " give each loop its own, or give the client none"
            )
        return self._lent

    async def _exchange(
        self,
        http: aiohttp.ClientSession,
        request: Request,
        authorization: Secret | None,
        progress: Progress,
    ) -> Answer:
        endpoint = request.endpoint
        headers = {"Accept": "application/json", "User-Agent": _USER_AGENT}
        if authorization is not None and endpoint.authorization is not None:
            headers["Authorization"] = f"{endpoint.authorization} {authorization.reveal()}"
        body = None if request.json is None else _Body(dumps(request.json), progress)
        progress.under_way = body is None
        async with http.request(
            endpoint.method,
            # Encoded already: yarl would fold "%2E%2E" and the like into another path.
            URL(self._settings.base_url + request.target, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            raise_for_status=False,
            timeout=_NO_TIMEOUT,
            **self._options,
        ) as response:
            return await _answer(response)

    def _read(self, request: Request, answer: Answer, authorization: Secret | None) -> Any:
        if answer.succeeded:
            return read(request, answer, self._settings.service.reader)
        return refused(request, answer, self._secrets(authorization))

    def _lost(self, request: Request, error: Exception) -> TransportError:
        """Return what stands for *error*, which must not travel, with nothing of it but words."""
        never_sent = isinstance(
            error,
            aiohttp.ClientConnectorError
            | aiohttp.ConnectionTimeoutError
            | aiohttp.ClientHttpProxyError,
        )
        applied: Applied = "no" if never_sent else "maybe"
        return TransportError(
            f"{named(request.endpoint)}: {_cause(error, self._settings.base_url)}"
            f"{uncertainty(request, applied)}",
            method=request.endpoint.method,
            path=mask(request.target, self._secrets(None)),
            applied=applied,
        )

    def _secrets(self, authorization: Secret | None) -> tuple[Secret, ...]:
        known = tuple(self._credentials.secrets())
        return known if authorization is None else (*known, authorization)

    def _log(
        self,
        request: Request,
        result: object,
        answer: Answer | None,
        begun: float,
        progress: Progress,
    ) -> None:
        logger.debug(
            "%s %s: %s in %.1f ms, try %d, request id %s",
            request.endpoint.method,
            request.endpoint.path,
            type(result).__name__ if answer is None else answer.status,
            (time.perf_counter() - begun) * 1000,
            progress.attempts,
            None if answer is None else request_id(answer, self._secrets(None)),
        )


class _Body(aiohttp.BytesPayload):
    """A JSON body that notes when it is written: before that, the service cannot have acted."""

    def __init__(self, value: bytes, progress: Progress) -> None:
        super().__init__(value, content_type="application/json")
        self._progress = progress

    async def write_with_length(
        self, writer: aiohttp.abc.AbstractStreamWriter, content_length: int | None
    ) -> None:
        self._progress.under_way = True
        await super().write_with_length(writer, content_length)


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    succeeded = 200 <= response.status < 300
    limit = MAX_ANSWER if succeeded else MAX_ERROR
    try:
        body, whole = await _bounded(response.content, limit)
    except aiohttp.ClientPayloadError:
        if succeeded:
            raise
        body, whole = b"", False  # the status says it; its explanation was cut short
    if not whole:
        response.close()  # rather than drain what may have no end
    return Answer(response.status, response.headers, body, whole)


async def _bounded(content: aiohttp.StreamReader, limit: int) -> tuple[bytes, bool]:
    """Read to the end, or a little past *limit* bytes, whatever Content-Length says."""
    chunks = [await content.readany()]
    size = len(chunks[0])
    while size <= limit and not content.at_eof():
        chunks.append(await content.readany())
        size += len(chunks[-1])
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return (body, True) if size <= limit else (body[:limit], False)


async def _open(settings: Settings) -> AsyncGenerator[aiohttp.ClientSession, None]:
    connector = aiohttp.TCPConnector(ssl=settings.ssl or True)
    proxy = settings.proxy or proxy_from_environment(settings.base_url)
    async with aiohttp.ClientSession(
        connector=connector,
        # A cookie would be one more secret to keep.
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_send_once,),
        proxy=proxy.reveal() if proxy else None,
    ) as http:
        yield http


def _options_for(lent: aiohttp.ClientSession, settings: Settings) -> Mapping[str, Any]:
    # Middlewares of a request replace those of the session, so keep its own before ours.
    options: dict[str, Any] = {"middlewares": (*lent._middlewares, _send_once)}  # noqa: SLF001
    if settings.ssl is not None:
        options["ssl"] = settings.ssl
    if settings.proxy is not None:
        options["proxy"] = settings.proxy.reveal()
    return options


class _LostConnectionError(aiohttp.ClientConnectionError):
    """A connection broke under a request, and aiohttp must not send it again."""


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
        words = str(error)
    raise _LostConnectionError(words)


def _remaining(limit: asyncio.Timeout) -> float:
    end = limit.when()
    return math.inf if end is None else end - asyncio.get_running_loop().time()


def _cause(error: Exception, base_url: str) -> str:
    """Say in our own words what went wrong: aiohttp's may hold headers or a proxy's password."""
    match error:
        case aiohttp.ClientHttpProxyError():
            words = f"the proxy answered {error.status}: check the proxy and its password"
        case aiohttp.ClientProxyConnectionError():
            words = f"could not connect to the proxy ({_reason(error.os_error)}): check the proxy"
        case aiohttp.ClientConnectorCertificateError():
            words = f"the TLS certificate of {base_url} is not trusted: check the address, or ssl"
        case aiohttp.ClientConnectorError():
            words = f"could not connect to {base_url} ({_reason(error.os_error)}): is it running?"
        case aiohttp.ClientPayloadError():
            words = "the answer was cut short"
        case aiohttp.ClientResponseError():
            words = f"what came back is not HTTP: check the base URL, {base_url}"
        case _:
            words = f"the connection broke before the answer came ({_reason(error)})"
    return words


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__
