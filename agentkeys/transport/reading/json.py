"""Read and write JSON, by orjson if it is installed, else by the standard library.

Both reject the same documents (NaN, lone surrogates, UTF-16, deep nesting), and ignore a byte order
mark, as RFC 8259, 8.1 allows.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["as_text", "dumps", "loads"]

_BOM: Final = b"\xef\xbb\xbf"
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def as_text(document: object) -> str:
    """Write JSON, equal text for equal documents; a Secret in it raises TypeError."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _stdlib_loads(body: bytes) -> Any:
    body = body.removeprefix(_BOM)
    try:
        document = json.loads(body.decode(), parse_constant=_no_constant)
        if _SURROGATE.search(body):
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        pass
    else:
        return document
    raise ValueError("nested too deeply")


def _stdlib_dumps(document: object) -> bytes:
    text = json.dumps(document, default=_revealed, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} is not JSON")


loads: Callable[[bytes], Any]
"""Read JSON; raise ValueError if *body* is not JSON."""
dumps: Callable[[object], bytes]
"""Write JSON with every Secret revealed: send the result to the service only."""

try:
    import orjson
except ImportError:  # the extra "speedups" is not installed
    loads, dumps = _stdlib_loads, _stdlib_dumps
else:

    def _orjson_loads(body: bytes) -> Any:
        return orjson.loads(body.removeprefix(_BOM))

    def _orjson_dumps(document: object) -> bytes:
        return orjson.dumps(document, default=_revealed)

    loads, dumps = _orjson_loads, _orjson_dumps
