"""Read requests strictly: bodies, fields, path segments."""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import unquote_to_bytes

from aiohttp import web

from agentkeys.secret import Secret
from agentkeys.server.ground.plain import is_storable
from agentkeys.server.ground.sealed import opened, sealed
from agentkeys.server.http.refusals import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_NAME_LENGTH: Final = 255

_BODY: Final = web.RequestKey("body", Secret)
_NO_BODY: Final = Secret("")
_WINDOW: Final = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class BodyTooLateError(Exception):
    """The service is stopping, and the body of the request has not arrived."""


async def read_body(request: web.Request, limit: int, seconds: float) -> None:
    """Read the body of the request; `body_of` returns it from then on.

    Raises:
        Refusal: 400 if it cannot be decoded, 408 if it takes longer than *seconds*, 413 if it is
            longer than *limit* bytes, 503 if the service stops first.
    """
    try:
        async with asyncio.timeout(seconds):
            raw = sealed(await request.read())
    except web.HTTPRequestEntityTooLarge:
        refusal = _too_long(limit)
    except web.RequestPayloadError:
        refusal = Refusal(400, "The body cannot be read as HTTP.", code="http", closes=True)
    except BodyTooLateError:
        message = "The service stopped before the whole body of the request arrived."
        refusal = Refusal(503, message, closes=True)
    except TimeoutError:
        refusal = Refusal(408, f"The body took longer than {seconds:g} seconds.", closes=True)
    else:
        request[_BODY] = _decoded(raw, request.headers.getall("Content-Encoding", []), limit)
        return
    raise refusal


def body_of(request: web.Request) -> Secret:
    """Return the body of the request, as a Secret; empty if there is none."""
    body: Secret = request.get(_BODY, _NO_BODY)
    return body


class Fields(dict[str, object]):
    """The fields of a JSON object; any may be secret, so the repr shows none."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


def json_object(body: Secret) -> Fields:
    """Return the JSON object in *body*: in UTF-8, without NaN and duplicate fields.

    Raises:
        Refusal: 400, if it is not one.
    """
    try:
        value = json.loads(
            opened(body).decode(),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    # A ValueError stands for everything that is not JSON, also bad UTF-8 and overlong numbers.
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, Fields):
        del value
        raise invalid("The body must be a JSON object.", code="invalid_json")
    return value


def text_field(body: Fields, name: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Return the field *name* of *body*: a string of 1 to *max_length* characters.

    Raises:
        Refusal: 400, if it is missing or not valid.
    """
    return secret_field(body, name, max_length).reveal()


def secret_field(body: Fields, name: str, max_length: int = MAX_NAME_LENGTH) -> Secret:
    """Return the field *name* of *body*, like `text_field`, as a Secret.

    Raises:
        Refusal: 400, if it is missing or not valid.
    """
    if body.get(name) is None:
        raise invalid(f"{name} is missing.", name, code="required")
    if not isinstance(body[name], str):
        raise invalid(f"{name} must be a string.", name, code="invalid_type")
    value = Secret(str(body[name]))
    if not 1 <= len(value.reveal()) <= max_length:
        raise invalid(f"{name} must have 1 to {max_length} characters.", name, code="length")
    if not is_storable(value.reveal()):
        raise invalid(f"{name} holds a NUL or a lone surrogate.", name, code="character")
    return value


def segment_pattern(template: str) -> str:
    """Return the framework's pattern for a path *template*: any id, also with ``{`` and ``}``."""
    return template.replace("}", ":[^/]+}")


def path_segment(request: web.Request, index: int) -> str | None:
    """Return segment *index* of the request's path, byte for byte; None if it is not text.

    The framework's own decoding would leave ``%2f`` and invalid UTF-8 unchanged.
    """
    try:
        segment = unquote_to_bytes(request.rel_url.raw_path.split("/")[index]).decode()
    except UnicodeError:
        return None
    return segment if is_storable(segment) else None


def whole_number(text: str, largest: int) -> int | None:
    """Return *text* as a plain decimal number from 1 to *largest*, or None."""
    # int() accepts signs, blanks, underscores, digits of other scripts, and a megabyte of them.
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(largest))):
        return None
    number = int(text)
    return number if 1 <= number <= largest else None


def _without_duplicates(pairs: Sequence[tuple[str, object]]) -> Fields:
    fields, given = Fields(pairs), len(pairs)
    del pairs
    if len(fields) != given:
        raise ValueError
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _decoded(raw: Secret, codings: Sequence[str], limit: int) -> Secret:
    coding = ",".join(codings).strip().lower() or "identity"
    if coding == "identity":
        return raw
    # Not the framework's decoding, which accepts a stream that was cut short.
    body = _inflated(raw, _WINDOW[coding], limit + 1) if coding in _WINDOW else None
    if body is None:
        message = "The body does not decode by its Content-Encoding: send gzip, deflate or none."
        raise invalid(message, code="content_encoding")
    if len(body.reveal()) > limit:
        raise _too_long(limit)
    return body


def _inflated(raw: Secret, window: int, at_most: int) -> Secret | None:
    inflater = zlib.decompressobj(window)
    try:
        body = sealed(inflater.decompress(opened(raw), at_most))
    except zlib.error:
        return None
    is_whole = inflater.eof and not inflater.unused_data
    return body if is_whole or len(body.reveal()) == at_most else None


def _too_long(limit: int) -> Refusal:
    return Refusal(413, f"The body is longer than {limit} bytes.", closes=True)
