"""Probes for orchestrators, without credentials: whether the service runs, and can serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from agentkeys.server.http.answers import json_response

if TYPE_CHECKING:
    from agentkeys.server.storage.database import Database


def routes(database: Database) -> list[web.RouteDef]:
    """Return the routes of the probes; their paths are `PROBES`."""

    async def live(request: web.Request) -> web.Response:
        del request
        return json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
        return await live(request)

    return [web.get("/healthz", live), web.get("/readyz", ready)]
