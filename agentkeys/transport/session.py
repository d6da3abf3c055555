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
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from agentkeys import __version__
from agentkeys.credentials import account_of, checked_token
from agentkeys.errors import (
    AgentKeysError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    RequestError,
)
from agentkeys.keys import Scope
from agentkeys.secret import Secret, mask, unfit
from agentkeys.transport import check
from agentkeys.transport.answer import (
    CUT_SHORT,
    MAX_ANSWER,
    MAX_ERROR,
    Answer,
    Loss,
    read,
    refused,
    request_id,
    unanswered,
)
from agentkeys.transport.endpoint import Endpoint, Request, build
from agentkeys.transport.json import dumps
from agentkeys.transport.loops import PerLoop
from agentkeys.transport.progress import Progress, is_gone_as_wanted, late
from agentkeys.transport.settings import proxy_from_environment
from agentkeys.transport.shelter import Shelter, around

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from agentkeys.credentials import Credentials
    from agentkeys.keys import NewKey
    from agentkeys.transport.answer import End
    from agentkeys.transport.retry import RetryPolicy
    from agentkeys.transport.settings import Proxy, Settings

__all__ = ["Session"]

T = TypeVar("T")
NewKeyT = TypeVar("NewKeyT", bound="NewKey[Any]")

logger: Final = logging.getLogger("agentkeys")

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
        self._checked: object = _NONE
        self._lent = lent
        self._proxy = settings.proxy
        if lent is None and self._proxy is None:
            self._proxy = proxy_from_environment(settings.base_url)
        self._own = PerLoop(partial(_open, settings, self._proxy))
        if lent is not None:
            _check_lent(lent)

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
        seconds = self._seconds(timeout)
        request = build(endpoint, path, query, json)
        return await self._within(seconds, request, authorization, Progress())  # type: ignore[no-any-return]  # `read` makes what `endpoint.returns` says

    async def create(
        self,
        endpoint: Endpoint[NewKeyT],
        *,
        name: str,
        path: Mapping[str, str | int] = _NONE,
        json: Mapping[str, object],
        delete: Callable[[Any], Awaitable[object]],
        timeout: float | None = None,
    ) -> NewKeyT:
        """Make a call that makes a key; see `call`.

        If it is cancelled when its request may be on its way, it runs on, until its deadline or for
        two seconds, whichever is sooner, and deletes the key that nobody will hold. If that is not
        known to have worked, a warning on the logger names the key.

        Args:
            endpoint: what to call.
            name: what the key is called.
            path: the ids in its path.
            json: its body.
            delete: deletes the key of an id.
            timeout: seconds for all of it; the client's own if None.

        """
        seconds = self._seconds(timeout)
        request = build(endpoint, path, _NONE, json)
        progress = Progress()
        shelter = around()
        if shelter is not None:  # who opened it sees to the key
            shelter.progress = progress
            return await self._within(seconds, request, None, progress)  # type: ignore[no-any-return]  # as above
        shelter = Shelter()
        shelter.progress = progress
        return await shelter.run(
            lambda: self._within(seconds, request, None, progress),
            seconds=seconds,
            leave=partial(_discard, name, progress, delete),
        )

    def _seconds(self, timeout: float | None) -> float:
        return self._settings.timeout if timeout is None else check.timeout(timeout)

    async def _within(
        self, seconds: float, request: Request, authorization: Secret | None, progress: Progress
    ) -> Any:
        end = asyncio.get_running_loop().time() + seconds
        limit = asyncio.timeout_at(None if end == math.inf else end)
        try:
            async with limit:
                return await self._tries(request, authorization, progress, end)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            del limit  # it knows the task, and that would keep its error, whose traceback has this
        raise late(request, progress, seconds, self._secrets(authorization))

    @property
    def timeout(self) -> float:
        """Seconds that a call may take if nothing else is said."""
        return self._settings.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""
        return self._settings.retry

    def path(self, endpoint: Endpoint[Any], path: Mapping[str, str | int] = _NONE) -> str:
        """Return the path of an endpoint, percent-encoded, for people: with every secret masked."""
        return mask(build(endpoint, path, _NONE, None).target, self._secrets(None))

    def scope(self, endpoint: Endpoint[Any], path: Mapping[str, str | int] = _NONE) -> Scope:
        """Return whose keys an endpoint is about, for these credentials."""
        return Scope(
            service=self._settings.service.name,
            base_url=self._settings.base_url,
            path=build(endpoint, path, _NONE, None).target,
            account=account_of(self._credentials),
        )

    async def close(self) -> None:
        """Close the connections, and refuse calls from now on. Closing twice is fine."""
        self._closed = True
        await self._own.close()

    def loops(self) -> tuple[asyncio.AbstractEventLoop, ...]:
        """Return the loops in which it has connections."""
        return self._own.loops()

    async def _tries(
        self,
        request: Request,
        authorization: Secret | None,
        progress: Progress,
        end: float,
    ) -> Any:
        while True:
            if request.endpoint.authorization == "Bearer":
                current = _only_secret(self._credentials.current(), or_none=True)
                token = current or progress.renewed
                authorization = self._sendable(token or await self._renew(None, progress, end))
            result = await self._try(request, authorization, progress)
            if not isinstance(result, RequestError):
                return result
            if is_gone_as_wanted(request, result, progress):
                return None
            progress.note(result)
            if await self._is_cured(request, result, authorization, progress, end):
                continue
            if not await self._waited(request, result, progress, end):
                try:
                    raise result
                finally:
                    del result  # or error, traceback and this frame would keep each other alive

    def _sendable(self, token: Secret) -> Secret:
        if token is not self._checked:  # it may come from credentials that are not ours
            self._checked = checked_token(token, "token that the credentials gave")
        return token

    async def _is_cured(
        self,
        request: Request,
        error: RequestError,
        token: Secret | None,
        progress: Progress,
        end: float,
    ) -> bool:
        """Renew the token after a 401, once in a call; True if there is a new one to try.

        A 401 that stays is reported, and the token is kept: it may mean "not your key".
        """
        if not isinstance(error, AuthenticationError) or progress.renewed is not None:
            return False
        if request.endpoint.authorization != "Bearer":
            return False
        if await self._renew(token, progress, end) is token:
            return False
        progress.free += 1
        return True

    async def _renew(self, token: Secret | None, progress: Progress, end: float) -> Secret:
        patience = max(_remaining(end), self._settings.timeout)
        try:
            renewed = _only_secret(await self._credentials.renew(self, token, patience))
        except RequestError as error:
            # What failed is the login; what the caller asks is whether his own call was acted on.
            error.applied = progress.applied
            raise
        progress.renewed = renewed
        return renewed

    async def _waited(
        self, request: Request, error: RequestError, progress: Progress, end: float
    ) -> bool:
        """Wait for the next try; False if there is none, or none within the deadline."""
        seconds = self._settings.retry.wait(
            error,
            tried=progress.attempts - progress.free,
            idempotent=request.endpoint.idempotent,
            chance=random.random(),  # noqa: S311  # jitter needs no cryptography
        )
        if seconds is None or seconds >= _remaining(end) or _is_left():
            return False
        await asyncio.sleep(seconds)
        return True

    async def _try(self, request: Request, authorization: Secret | None, progress: Progress) -> Any:
        """Send *request* once; return the record that answers it, or the error."""
        begun = time.perf_counter()
        http = self._http(progress) or await self._own.get()
        progress.begin()
        answer = lost = None
        try:
            answer = await self._exchange(http, request, authorization, progress)
        except (aiohttp.ClientError, OSError) as error:
            # Words and no more: aiohttp's errors, and the frames below, hold the Authorization.
            lost = _lost(error, self._settings.base_url)
        except BaseException as interruption:  # noqa: BLE001  # it goes on, without its frames
            progress.interrupt()
            if not (http.closed and isinstance(interruption, Exception)):
                interruption.__context__ = None
                raise interruption.with_traceback(None)  # noqa: B904  # it is the same one
        if answer is not None:
            result = self._read(request, answer, authorization)
        elif lost is not None:
            result = unanswered(request, lost, self._secrets(authorization))
        else:  # the session was closed under the call, and aiohttp does not always say so
            raise ClientClosedError("the client was closed during the call", applied="maybe")
        if logger.isEnabledFor(logging.DEBUG):
            self._log(request, result, answer, begun, progress)
        return result

    def _http(self, progress: Progress) -> aiohttp.ClientSession | None:
        """Return the session of this loop, None if one must be opened first."""
        if self._closed:
            raise ClientClosedError(
                "the client is closed: make another one", applied=progress.applied
            )
        if self._lent is None:
            return self._own.current()
        if self._lent.closed:
            raise ClientClosedError(
                "the aiohttp session that the client was given is closed", applied=progress.applied
            )
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
        headers = {} if self._lent is None else dict(_HEADERS)
        if authorization is not None and endpoint.authorization is not None:
            headers["Authorization"] = f"{endpoint.authorization} {authorization.reveal()}"
        body = None if request.json is None else _body(request.json)
        # Our own connector tells when there is a connection to send it on; that of a lent one not.
        progress.under_way = self._lent is not None
        _at_hand.set(progress)
        async with http.request(
            endpoint.method,
            # Encoded already: yarl would fold "%2E%2E" and the like into another path.
            URL(self._settings.base_url + request.target, encoded=True),
            headers=headers,
            data=body,
            allow_redirects=False,
            raise_for_status=False,
            timeout=_NO_TIMEOUT,
            **self._options(),
        ) as response:
            return await _answer(response)

    def _options(self) -> Mapping[str, Any]:
        """Return what our own sessions were opened with, and a lent one must be told each time."""
        return _NONE if self._lent is None else _options_for(self._lent, self._settings)

    def _read(self, request: Request, answer: Answer, authorization: Secret | None) -> Any:
        if not answer.succeeded:
            return refused(request, answer, self._secrets(authorization))
        # A function, for the happy path has no use for the secrets.
        secrets = partial(self._secrets, authorization)
        return read(request, answer, self._settings.service.reader, secrets)

    def _secrets(self, authorization: Secret | None) -> tuple[Secret, ...]:
        known = (*self._credentials.secrets(), *(self._proxy.secrets if self._proxy else ()))
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


def _is_left() -> bool:
    shelter = around()
    return shelter is not None and shelter.is_left


async def _discard(
    name: str,
    progress: Progress,
    delete: Callable[[Any], Awaitable[object]],
    making: asyncio.Task[NewKey[Any]],
    seconds: float,
) -> None:
    """Delete the key that a cancelled call has made, or warn that there may be one."""
    if making.done() and not making.cancelled() and making.exception() is None:
        with suppress(AgentKeysError, TimeoutError):
            async with asyncio.timeout(seconds):
                await delete(making.result().id)
            return
    elif not progress.may_have_been_sent:
        return
    logger.warning(
        "the creation of the key %r was cancelled, and the key may exist, with a secret that nobody"
        " holds: list the keys, and delete it",
        mask(name),
    )


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
    connector = _Connector(ssl=settings.ssl or True)
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
        for _ in range(self.limit):  # as many as the pool can hold; a new one is taken as it is
            if connection.protocol is None or not connection.protocol.should_close:
                break
            connection.close()
            connection = await super().connect(req, traces, timeout)
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


@overload
def _only_secret(given: object) -> Secret: ...
@overload
def _only_secret(given: object, *, or_none: bool) -> Secret | None: ...
def _only_secret(given: object, *, or_none: bool = False) -> Secret | None:
    """Return what credentials gave; if that is no Secret, one that says so when it is revealed."""
    if isinstance(given, Secret):
        return given
    if given is None and or_none:
        return None
    kind = "None" if given is None else type(given).__name__
    return unfit(ConfigurationError, f"the token that the credentials gave is no Secret but {kind}")


def _remaining(end: float) -> float:
    return end - asyncio.get_running_loop().time()


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
