"""JSON answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

try:
    import orjson
except ModuleNotFoundError:
    _fast_dumps = None
else:
    _fast_dumps = orjson.dumps


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return *value* as a JSON answer that nobody on the way may keep."""
    response = web.Response(
        body=encoded(value), status=status, headers=headers, content_type="application/json"
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def encoded(value: object) -> bytes:
    """Return *value* as JSON."""
    if _fast_dumps is not None:
        return _fast_dumps(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
