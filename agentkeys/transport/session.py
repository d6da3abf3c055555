"""The session: what a call is, from its arguments to the record or the error that it ends in.

`Session.call` is the whole way of a call: one deadline around the tries, the waits between them and
the renewal of the token. Each try is sent by `agentkeys.transport.wire.http.Http.send`.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import math
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from agentkeys import arguments
from agentkeys.cancellation import Waiting
from agentkeys.credentials import BearerToken, Renewable, checked_token, only_secret
from agentkeys.errors import (
    AgentKeysError,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    RequestError,
)
from agentkeys.observers import Call
from agentkeys.secret import Secret
from agentkeys.transport.call.endpoint import Endpoint, Place, Request, build
from agentkeys.transport.call.progress import Progress, Shelter, already_deleted, discard, late
from agentkeys.transport.call.turns import heed, no_turn
from agentkeys.transport.call.watching import LOG, Watch, watched
from agentkeys.transport.deadline import Deadline
from agentkeys.transport.reading.answer import Answer, Loss, read, refused, request_id, unanswered
from agentkeys.transport.wire.http import Http

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    import aiohttp

    from agentkeys.credentials import Credentials
    from agentkeys.keys import NewKey
    from agentkeys.retry import RetryPolicy
    from agentkeys.transport.settings import Settings

__all__ = ["Session"]

T = TypeVar("T")
NewKeyT = TypeVar("NewKeyT", bound="NewKey[Any]")

logger: Final = logging.getLogger("agentkeys")

_NONE: Final[Mapping[str, Any]] = {}


class Session:
    """Makes the calls of one client, in any event loop.

    Args:
        settings: how calls are made.
        credentials: the source of the bearer token.
        lent: an aiohttp session to use instead of our own. It is never closed.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        lent: aiohttp.ClientSession | None = None,
    ) -> None:
        if isinstance(credentials, Renewable):
            credentials.bind(settings.base_url)
        self._settings = settings
        self._credentials = credentials
        self._http = Http(
            settings.address,
            ssl=settings.ssl,
            proxy=settings.proxy,
            product=settings.product,
            lent=lent,
        )
        self._checked: object = None  # the last token that was found to fit a header
        self._shelter: Shelter | None = None

    def sheltered(self, shelter: Shelter) -> Self:
        """Return a copy of this session whose `create` runs in *shelter*."""
        session = copy.copy(self)
        session._shelter = shelter  # noqa: SLF001  # our own class
        return session

    def bearing(self, token: Secret) -> Self:
        """Return a copy of this session that sends *token*."""
        session = copy.copy(self)
        session._credentials = BearerToken(token)  # noqa: SLF001  # our own class
        session._checked = None  # noqa: SLF001
        return session

    @property
    def settings(self) -> Settings:
        """How calls are made."""
        return self._settings

    @property
    def credentials(self) -> Credentials:
        """The source of the token."""
        return self._credentials

    @property
    def base_url(self) -> str:
        """Where the service is, without a trailing slash."""
        return self._settings.base_url

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
            endpoint: the endpoint to call.
            path: the ids in its path.
            query: its parameters; those that are None are left out.
            json: its body; a Secret in it is sent revealed.
            authorization: the credentials, for an endpoint that takes no bearer token.
            timeout: seconds for the whole call; defaults to the client's timeout.

        Raises:
            InvalidArgumentError, ClientClosedError: no request was sent.
            RequestError: see `agentkeys.errors`.
        """
        seconds = self._seconds(timeout)
        request = build(endpoint, path, query, json)
        return await self._within(seconds, request, authorization, Progress())

    async def create(
        self,
        place: Place[NewKeyT],
        *,
        name: str,
        json: Mapping[str, object],
        delete: Callable[[Any], Coroutine[Any, Any, object]],
        timeout: float | None = None,
    ) -> NewKeyT:
        """Make a call that creates a key; see `call`.

        If the call is cancelled after its request may have been sent, it continues until its
        deadline, but for two seconds at most, and deletes the new key. If the deletion is not known
        to have worked, a warning on the logger names the key.

        Args:
            place: the place where the key is created.
            name: the key's name.
            json: its body, beside the fields that the place adds.
            delete: deletes the key with an id.
            timeout: seconds for the whole call; defaults to the client's timeout.
        """
        seconds = self._seconds(timeout)
        # The record's type is checked first, so that no key is created that could not be read.
        if place.create.returns is not None:
            self._settings.service.reader.check(place.create.returns)
        request = build(place.create, place.path, _NONE, {**place.body, **json})
        if self._shelter is not None:  # the code that opened it takes care of the key
            self._shelter.progress = progress = Progress(self._shelter)
            return await self._within(seconds, request, None, progress)
        waiting = Waiting(math.inf)  # the call ends by its own deadline
        shelter = Shelter(waiting)
        shelter.progress = progress = Progress(shelter)
        making = self._within(seconds, request, None, progress)
        made: NewKeyT | None = None
        try:
            made = await waiting.result(making, runs_on=shelter.may_have_been_sent)
        except (AgentKeysError, TimeoutError):
            if waiting.cancellation is None:
                raise
        if waiting.cancellation is not None:
            await discard(name, None if made is None else delete(made.id), progress, waiting)
            waiting.raise_cancellation()
        return made  # type: ignore[return-value]  # or an error was raised

    def _seconds(self, timeout: float | None) -> float:
        return self._settings.timeout if timeout is None else arguments.timeout(timeout)

    def _within(
        self, seconds: float, request: Request[T], authorization: Secret | None, progress: Progress
    ) -> Coroutine[Any, Any, T]:
        """Return the call; if it is observed, wrapped. Calls without observers pay nothing."""
        call = self._timed(seconds, request, authorization, progress)
        observers = self._settings.observers
        if logger.isEnabledFor(logging.DEBUG):
            observers = (*observers, LOG)
        if not observers:
            return call
        shown = request.shown(self._secrets(authorization))
        endpoint, settings = request.endpoint, self._settings
        progress.watch = Watch(
            observers,
            Call(settings.service.name, endpoint.method, endpoint.path, shown, settings.base_url),
        )
        return watched(call, progress.watch, progress)

    async def _timed(
        self, seconds: float, request: Request[T], authorization: Secret | None, progress: Progress
    ) -> T:
        end = asyncio.get_running_loop().time() + seconds
        with Deadline(end):
            return await self._tries(request, authorization, progress, end)
        raise late(request, progress, seconds, self._secrets(authorization))

    @property
    def timeout(self) -> float:
        """Seconds for a whole call, unless the call says otherwise."""
        return self._settings.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When a call retries its request."""
        return self._settings.retry

    def path(self, endpoint: Endpoint[Any], path: Mapping[str, str | int] = _NONE) -> str:
        """Return the path of an endpoint, percent-encoded, with every secret masked, for a text."""
        return build(endpoint, path, _NONE, None).shown(self._secrets(None))

    async def log_in(self, timeout: float) -> None:
        """Fetch a token if there is none.

        Args:
            timeout: seconds for the login.

        Raises:
            RequestError: see `agentkeys.errors`; only a login was sent.
        """
        if self._credentials.current() is None:
            end = asyncio.get_running_loop().time() + timeout
            await self._renew(None, Progress(), end)

    async def close(self) -> None:
        """Close the connections; later calls raise `ClientClosedError`. Closing twice is fine."""
        await self._http.close()

    def loops(self) -> tuple[asyncio.AbstractEventLoop, ...]:
        """Return the loops in which there are connections."""
        return self._http.loops()

    async def _tries(
        self,
        request: Request[T],
        authorization: Secret | None,
        progress: Progress,
        end: float,
    ) -> T:
        while True:
            if request.endpoint.authorization == "Bearer":
                current = only_secret(self._credentials.current(), or_none=True)
                token = current or progress.renewed
                authorization = self._sendable(token or await self._renew(None, progress, end))
            result = await self._try(request, authorization, progress, end)
            if not isinstance(result, RequestError):
                return result
            if already_deleted(request, result, progress):
                return None  # type: ignore[return-value]  # a DELETE returns None
            if await self._renewed_after_401(request, result, authorization, progress, end):
                continue
            if not await self._wait_to_retry(request, result, progress, end):
                try:
                    raise result
                finally:
                    del result  # or error, traceback and this frame would keep each other alive

    def _sendable(self, token: Secret) -> Secret:
        if token is not self._checked:  # third-party credentials may return any string
            self._checked = checked_token(token, "token that the credentials returned")
        return token

    async def _renewed_after_401(
        self,
        request: Request[Any],
        error: RequestError,
        token: Secret | None,
        progress: Progress,
        end: float,
    ) -> bool:
        """Renew the token after a 401, once in a call; return True if there is a new token to try.

        A 401 that remains is reported, and the token is kept: the 401 may mean "not your key".
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
            renewed = only_secret(await self._credentials.renew(self, token, patience))
        except (RequestError, ConfigurationError, ClientClosedError) as error:
            # The login failed; the caller needs to know whether the service acted on its own call.
            error.applied = progress.applied
            raise
        known = self._credentials
        if token or not (isinstance(known, Renewable) and known.is_kept(renewed)):
            progress.renewed = renewed
        return renewed

    async def _wait_to_retry(
        self, request: Request[Any], error: RequestError, progress: Progress, end: float
    ) -> bool:
        """Wait for the next try; return False if there is none, or none before the deadline."""
        seconds = self._settings.retry.wait(
            error,
            tried=progress.attempts - progress.free,
            idempotent=request.endpoint.idempotent,
            chance=random.random(),  # noqa: S311  # jitter needs no cryptography
        )
        if seconds is None or seconds >= _remaining(end):
            return False
        if (
            not request.endpoint.idempotent and progress.is_abandoned
        ):  # the caller is gone: do not create another key
            return False
        await asyncio.sleep(seconds)
        return True

    async def _try(
        self, request: Request[T], authorization: Secret | None, progress: Progress, end: float
    ) -> T | RequestError:
        """Send *request* once, in its turn; return the record that answers it, or the error.

        The error is not raised: a traceback from here would show the answer.
        """
        limit, watch = self._settings.rate, progress.watch
        if limit is not None:
            late = await no_turn(limit, request, progress, end, self._secrets(authorization))
            if late is not None:
                return late
        if watch is not None:
            watch.begin_try(progress.attempts + 1)
        try:
            reply = await self._http.send(request, authorization, progress)
        except BaseException as interruption:
            if watch is not None:
                watch.end_try(progress.attempts, interruption, progress.applied)
            raise
        result = self._read(request, reply, authorization)
        if watch is not None:
            self._report(watch, progress.attempts, reply, result)
        if isinstance(result, RequestError):
            progress.record(result)
            if limit is not None:
                heed(limit, result)
        return result

    def _report(self, watch: Watch, number: int, reply: Answer | Loss, result: object) -> None:
        error = result if isinstance(result, RequestError) else None
        applied = "yes" if error is None else error.applied
        if isinstance(reply, Loss):
            watch.end_try(number, error, applied)
        else:
            named = request_id(reply, self._secrets(None))
            watch.end_try(number, error, applied, reply.status, named)

    def _read(
        self, request: Request[T], reply: Answer | Loss, authorization: Secret | None
    ) -> T | RequestError:
        """Return the record that *reply* holds, or the error that it stands for."""
        if isinstance(reply, Loss):
            return unanswered(request, reply, self._secrets(authorization))
        if not reply.succeeded:
            return refused(request, reply, self._secrets(authorization))
        # A function, because a successful call does not need the secrets.
        secrets = partial(self._secrets, authorization)
        return read(request, reply, self._settings.service.reader, secrets)

    def _secrets(self, authorization: Secret | None) -> tuple[Secret, ...]:
        known = (*self._credentials.secrets(), *self._http.secrets())
        return known if authorization is None else (*known, authorization)


def _remaining(end: float) -> float:
    return end - asyncio.get_running_loop().time()
