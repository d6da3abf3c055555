"""The outermost layer: it records requests, and applies the faults."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, TypeGuard, cast

from aiohttp import web

from agentkeys.server.faults.holding import Holding
from agentkeys.server.faults.kinds import Delay
from agentkeys.server.faults.pages import with_own_cursor
from agentkeys.server.faults.sending import Broken
from agentkeys.server.http.protocol import request_id
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.http.routes import ALL, PROBES, route_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.typedefs import Handler, Middleware

    from agentkeys.server.faults.queue import Fault, Faults
    from agentkeys.server.ground.rate import Rate
    from agentkeys.server.http.hosts import Hosts
    from agentkeys.server.http.protocol import Protocol
    from agentkeys.server.http.record import Requests

    Refuse = Callable[[web.Request, Refusal], Awaitable[web.StreamResponse]]


class Entrance:
    """A layer around both services, for one run of them.

    Args:
        faults: the faults.
        requests: the record of requests.
        hosts: the hosts that the service accepts.
        rate: how many requests a second both services answer; None for no limit.
    """

    def __init__(self, faults: Faults, requests: Requests, hosts: Hosts, rate: Rate | None) -> None:
        self._faults = faults
        self._hosts = hosts
        self._rate = rate
        self._requests = requests
        self._holding = Holding()

    def close(self) -> None:
        """End the requests that the faults hold back."""
        self._holding.close()

    def let_go(self) -> None:
        """End the requests that the faults hold back now; none of them is acted on."""
        self._holding.close()
        self._holding = Holding()

    def middleware(self, refuse: Refuse) -> Middleware:
        """Return this layer as a middleware; *refuse* answers requests that are not acted on."""
        faults, requests, hosts, rate = self._faults, self._requests, self._hosts, self._rate

        @web.middleware
        async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not cast("Protocol", request.protocol).begin(request):
                handler = _refusing(refuse, _too_many())
            # An orchestrator addresses this host by an address that is not known beforehand.
            elif request.path in PROBES:
                return await handler(request)
            elif (refusal := hosts.refusal(request) or _too_often(rate, request)) is not None:
                handler = _refusing(refuse, refusal)
            elif faults.were_added:
                handler = functools.partial(self._enter, handler=handler, refuse=refuse)
            if not requests.limit:
                return await handler(request)
            entry = requests.note(request, route_of(request), request_id(request))
            try:
                answer = await handler(request)
            # Only a user's middleware can have raised it.
            except Exception as error:
                entry.status = error.status if isinstance(error, web.HTTPException) else 500
                raise
            if not (isinstance(answer, Broken) and answer.is_silent):
                entry.status = answer.status
            return answer

        return enter

    async def _enter(
        self, request: web.Request, handler: Handler, refuse: Refuse
    ) -> web.StreamResponse:
        route = route_of(request)
        fault = self._faults.due(route)
        if fault is not None and fault.when == "before":
            return await self._before(fault, request, handler, refuse)
        answer = await handler(with_own_cursor(request))
        # Searched again: another request may have used it up in the meantime.
        fault = self._faults.due(route)
        if fault is None or fault.when == "before" or answer.status >= 400:
            return answer
        return await self._after(fault, request, answer) if _is_whole(answer) else answer

    async def _before(
        self, fault: Fault, request: web.Request, handler: Handler, refuse: Refuse
    ) -> web.StreamResponse:
        fault.hit()
        request_inside = with_own_cursor(request)
        # The body is read now, because the client may be gone later.
        answer = await refuse(request_inside, _unavailable())
        if isinstance(fault.kind, Delay) and await self._holding.pause(
            fault.removal(), request, fault.kind.seconds, patient=True
        ):
            return await handler(request_inside)
        return self._spoiled(fault, request, answer) if _is_whole(answer) else answer

    async def _after(
        self, fault: Fault, request: web.Request, answer: web.Response
    ) -> web.StreamResponse:
        fault.hit()
        if isinstance(fault.kind, Delay) and await self._holding.pause(
            fault.removal(), request, fault.kind.seconds
        ):
            return answer
        return self._spoiled(fault, request, answer)

    def _spoiled(self, fault: Fault, request: web.Request, answer: web.Response) -> web.Response:
        answer.headers["X-Request-Id"] = request_id(request)  # its head may be written by a fault
        sent = fault.kind.instead_of(answer, request)
        return (
            sent
            if isinstance(sent, web.Response)
            else Broken(answer, sent, fault.removal(), self._holding)
        )


def _refusing(refuse: Refuse, refusal: Refusal) -> Handler:
    return lambda request: refuse(request, refusal)


def _too_many() -> Refusal:
    message = "The service has too many open connections."
    return Refusal(503, message, headers={"Retry-After": "1"}, closes=True)


def _too_often(rate: Rate | None, request: web.Request) -> Refusal | None:
    if rate is None or route_of(request) not in ALL or not (seconds := rate.take()):
        return None
    message = "Too many requests: the local service was started with a rate limit."
    return Refusal(429, message, headers={"Retry-After": str(math.ceil(seconds))})


def _unavailable() -> Refusal:
    return Refusal(503, "The service cannot be reached.")


def _is_whole(answer: web.StreamResponse) -> TypeGuard[web.Response]:
    # A user's middleware may have sent it already.
    return isinstance(answer, web.Response) and not answer.prepared
