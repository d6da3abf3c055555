"""JSON answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

try:
    import orjson
except ModuleNotFoundError:
    _fast_dumps = None
else:
    _fast_dumps = orjson.dumps


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return *value*, with its secrets, as a JSON answer that no cache may keep."""
    response = web.Response(
        body=encoded(value, default=_revealed),
        status=status,
        headers=headers,
        content_type="application/json",
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def encoded(value: object, default: Callable[[object], object] | None = None) -> bytes:
    """Return *value* as JSON; *default* converts what JSON does not support."""
    if _fast_dumps is not None:
        return _fast_dumps(value, default)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default)
    return text.encode()


def _revealed(value: object) -> str:
    # Revealed here and not before, so that no variable of ours holds a new secret.
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(type(value).__name__)
