"""What comes in with a request, read strictly: bodies, fields, path segments."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote_to_bytes

from aiohttp import web

from agentkeys.server.refusals import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NAME_LENGTH: Final = 255
_CONTENT_CODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})


async def read_body(request: web.Request, limit: int, seconds: float) -> bytes:
    """Return the body of the request.

    Raises:
        Refusal: 400 if it cannot be decoded, 408 if it takes longer than *seconds*, 413 if it is
            longer than *limit* bytes.
    """
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in _CONTENT_CODINGS:
        raise _bad_encoding()
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        refusal = Refusal(413, f"The body is longer than {limit} bytes.", closes=True)
    except web.RequestPayloadError:
        refusal = _bad_encoding()
    except TimeoutError:
        refusal = Refusal(408, f"The body took longer than {seconds:g} seconds.", closes=True)
    raise refusal


def json_object(raw: bytes) -> dict[str, object]:
    """Return the JSON object in *raw*: UTF-8, without NaN, no field twice.

    Raises:
        Refusal: 400, if it is not one.
    """
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    # A ValueError stands for all that is not JSON, bad UTF-8 and overlong numbers included.
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise invalid("The body must be a JSON object.", code="invalid_json")
    return value


def text_field(body: dict[str, object], name: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Return the field *name* of *body*: a string of 1 to *max_length* characters.

    Raises:
        Refusal: 400, if it is missing or something else.
    """
    value = body.get(name)
    if value is None:
        raise invalid(f"{name} is missing.", name, code="required")
    if not isinstance(value, str):
        raise invalid(f"{name} must be a string.", name, code="invalid_type")
    if not 1 <= len(value) <= max_length:
        raise invalid(f"{name} must have 1 to {max_length} characters.", name, code="length")
    if not is_storable(value):
        raise invalid(f"{name} holds a character that no text may hold.", name, code="character")
    return value


def is_storable(text: str) -> bool:
    """Tell whether *text* is Unicode that every database can keep: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def segment_pattern(template: str) -> str:
    """Return the framework's pattern for a path *template*: any id, ``{`` and ``}`` included."""
    return template.replace("}", ":[^/]+}")


def path_segment(request: web.Request, index: int) -> str | None:
    """Return segment *index* of the request's path, byte for byte, or None if it is no text.

    The framework's own decoding would leave ``%2f`` and invalid UTF-8 as they came.
    """
    try:
        segment = unquote_to_bytes(request.rel_url.raw_path.split("/")[index]).decode()
    except UnicodeError:
        return None
    return segment if is_storable(segment) else None


def whole_number(text: str, largest: int) -> int | None:
    """Return the number that *text* is in plain decimal, from 1 to *largest*, or None."""
    # int() would take signs, blanks, underscores, other scripts' digits, and a megabyte of them.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(largest))):
        return None
    number = int(text)
    return number if 1 <= number <= largest else None


def _without_duplicates(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _bad_encoding() -> Refusal:
    message = "The body does not decode by its Content-Encoding: send gzip, deflate or none."
    return Refusal(400, message, "content_encoding", closes=True)
