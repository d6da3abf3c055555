"""Both services as one aiohttp application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from aiohttp import web
from sqlalchemy.exc import DBAPIError

from agentkeys.errors import ConfigurationError
from agentkeys.server.ground.log import logger
from agentkeys.server.http.fields import body_of, read_body
from agentkeys.server.http.protocol import from_http_exception, request_id
from agentkeys.server.http.record import note_body
from agentkeys.server.http.refusals import Refusal, refusal_response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from aiohttp.typedefs import Handler, Middleware

BODY_LIMIT: Final = 64 * 1024
BODY_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 30.0


Refuse: TypeAlias = "Callable[[web.Request, Refusal], Awaitable[web.StreamResponse]]"
"""Reads a request to its end, and refuses it."""


class Entrance(Protocol):
    """The layer around an application."""

    def middleware(self, refuse: Refuse) -> Middleware:
        """Return the layer as a middleware; *refuse* answers requests that it does not accept."""


def create_app(
    routes: Iterable[web.AbstractRouteDef],
    entrance: Entrance,
    *,
    middlewares: Iterable[Middleware] = (),
    body_limit: int = BODY_LIMIT,
    body_seconds: float = BODY_SECONDS,
) -> web.Application:
    """Return an application that answers *routes*.

    Args:
        routes: the routes of the services.
        entrance: the layer around everything; a request that it does not accept is read and
            refused.
        middlewares: the layers around everything else, the outermost first. When one of them gets
            an answer from its handler, the change of the request is committed.
        body_limit: the longest body that is read, in bytes; above it the answer is 413.
        body_seconds: how long a body may take to arrive; after that the answer is 408.
    """

    @web.middleware
    async def answer_or_refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.body_exists:
                await read_body(request, body_limit, body_seconds)
                note_body(request, body_of(request))
            return await handler(request)
        # Every refusal and every bug ends here, so that no exception becomes a bare 500.
        except Exception as error:  # noqa: BLE001
            refusal = _refusal(request, error)
        return refusal_response(request.path, refusal)

    async def refuse(request: web.Request, refusal: Refusal) -> web.StreamResponse:
        async def handler(_: web.Request) -> web.StreamResponse:
            raise refusal

        return await answer_or_refuse(request, handler)

    app = web.Application(
        middlewares=[entrance.middleware(refuse), *middlewares, answer_or_refuse],
        client_max_size=body_limit,
        logger=logger,
    )
    app.add_routes(routes)
    return app


def _refusal(request: web.Request, error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, web.HTTPException):
        return from_http_exception(error)
    if isinstance(error, ConnectionError):
        return Refusal(400, "The connection ended before the end of the request.", closes=True)
    if isinstance(error, DBAPIError):
        logger.error("%s: the database failed: %s", request_id(request), error.orig)
        return Refusal(503, "The database cannot be used now.", headers={"Retry-After": "1"})
    if isinstance(error, ConfigurationError):
        logger.error("%s: %s", request_id(request), error)
        return Refusal(503, "The database was deleted, moved or replaced: restart the service.")
    logger.error("%s: the service failed", request_id(request), exc_info=error)
    return Refusal(500, "The service failed.")
