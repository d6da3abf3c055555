"""The OpenAPI 3.1 document of both services, as data: ``openapi.json`` beside this file.

It is written from their documentation, not from the handlers, so that a test can compare the two.
The service returns it at ``/openapi.json``, which belongs to neither service.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from agentkeys import __version__
from agentkeys.server.http.answers import encoded

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH: Final = "/openapi.json"
"""The path of the document."""


def _document() -> Mapping[str, Any]:
    written = json.loads(files(__name__).joinpath("openapi.json").read_text("utf-8"))
    return {**written, "info": {**written["info"], "version": __version__}}


DOCUMENT: Final = _document()
"""The document."""


def routes() -> list[web.RouteDef]:
    """Return the route of the document, which needs no authorization."""
    document = encoded(DOCUMENT)

    async def give(request: web.Request) -> web.Response:
        del request
        return web.Response(body=document, content_type="application/json")

    return [web.get(PATH, give, allow_head=False)]
