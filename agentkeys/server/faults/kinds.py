"""The kinds of faults: each class is one, and returns what is sent instead of the answer."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias

from aiohttp import web

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.faults.pages import Cursor, cursor_of, next_cursor, page_of, page_with
from agentkeys.server.faults.sending import (
    Sent,
    Silence,
    Step,
    body_of,
    chunks,
    head_of,
    long_string,
    replaced,
    status_with_body,
    trickle,
)
from agentkeys.server.ground.plain import is_whole
from agentkeys.server.http.answers import encoded

When: TypeAlias = Literal["before", "after"]
"""Before the service acts on a request, or after: then its change is already durable."""

Times: TypeAlias = int | Literal["always"]
"""How many requests a fault affects."""

_BODILESS: Final = frozenset({204, 304})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})
_HTML: Final = b"<!DOCTYPE html><html><body><h1>Bad Gateway</h1></body></html>\n"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Any text on one line, without lone surrogates.
_FIELD_VALUE: Final = re.compile("[\t\x20-\x7e\x80-\ud7ff\ue000-\U0010ffff]*")


class Kind(ABC):
    """The base class of the kinds. A kind of your own is a frozen dataclass with `instead_of`."""

    __slots__ = ()

    of_pages: ClassVar[bool] = False
    """Whether it affects pages, and so only listings of Agentry."""

    times: ClassVar[Times] = 1
    """How many requests it affects by default."""

    @abstractmethod
    def instead_of(self, answer: web.Response, request: web.Request) -> Sent:
        """Return what is sent instead of *answer*.

        *answer* is the service's own with ``when="after"``, and a 503 with ``when="before"``.
        """


@dataclass(frozen=True, slots=True)
class Reset(Kind):
    """Reset the connection, without sending any byte of an answer."""

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence(resets=True)


@dataclass(frozen=True, slots=True)
class Close(Kind):
    """Close the connection normally, without sending any byte of an answer."""

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence()


@dataclass(frozen=True, slots=True)
class NeverAnswer(Kind):
    """Never answer. The connection stays open until the client closes it, or the service stops."""

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence(math.inf)


@dataclass(frozen=True, slots=True)
class Delay(Kind):
    """Answer normally, but later.

    With ``when="before"``, the request is acted on after the delay, even if the client is gone by
    then: such a service commits late.

    Args:
        seconds: the delay; ``math.inf`` means until the fault is removed.
    """

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds("a Delay", self.seconds)

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence()  # the service is closing, so no delay is left


@dataclass(frozen=True, slots=True)
class Answer(Kind):
    """Send this answer instead of the service's own.

    Args:
        status: the status, 200 to 599.
        body: bytes or a str as they are; any other value as JSON; None for no body.
        headers: headers besides Content-Type and Content-Length, or a Content-Type of your own.
    """

    status: int
    body: object = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _check_status(self.status)
        if self.body is not None and self.status in _BODILESS:
            raise InvalidArgumentError(f"an answer with status {self.status} must not have a body")
        _check_body(self.body)
        _check_headers(self.headers)

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        body, content_type = payload(self.body)
        response = web.Response(status=self.status, headers=self.headers, body=body)
        if content_type and "Content-Type" not in response.headers:
            response.headers["Content-Type"] = content_type
        return response


@dataclass(frozen=True, slots=True)
class Redirect(Kind):
    """Answer with a redirect.

    Args:
        to: the complete address to go to, for example on another host.
        status: 301, 302, 303, 307 or 308. The last two ask for the same method and body again.
    """

    to: str = field(repr=False)
    status: int = 307

    def __post_init__(self) -> None:
        if self.status not in _REDIRECTS:
            raise InvalidArgumentError(
                f"a redirect must have one of the statuses {sorted(_REDIRECTS)}"
            )
        _check_headers({"Location": self.to})

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return web.Response(status=self.status, headers={"Location": self.to})


@dataclass(frozen=True, slots=True)
class Html(Kind):
    """Answer with an HTML page, as a gateway or a captive portal does.

    Args:
        status: the status; None means that of the answer that it replaces.
    """

    status: int | None = None

    def __post_init__(self) -> None:
        _check_status(self.status)

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return replaced(answer, self.status, _HTML, "text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class MalformedJson(Kind):
    """Answer with the service's own JSON without its last character.

    Args:
        status: the status; None means that of the answer that it replaces.
    """

    status: int | None = None

    def __post_init__(self) -> None:
        _check_status(self.status)

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        body = body_of(answer)[:-1] or b"{"
        return replaced(answer, self.status, body, "application/json")


@dataclass(frozen=True, slots=True)
class HalfBody(Kind):
    """Send half of the answer's body and close; if it has no body, half of its status line."""

    def instead_of(self, answer: web.Response, request: web.Request) -> Iterator[Step]:
        body = body_of(answer)
        head = head_of(answer, str(len(body)))
        yield head + body[: len(body) // 2] if body else head[: head.index(b"\r") // 2]


@dataclass(frozen=True, slots=True)
class Trickle(Kind):
    """Send the answer's body byte by byte; if it has no body, its head.

    Args:
        pace: seconds between two bytes.
    """

    pace: float = 1.0

    def __post_init__(self) -> None:
        _check_seconds("a Trickle", self.pace)

    def instead_of(self, answer: web.Response, request: web.Request) -> Iterator[Step]:
        body = body_of(answer)
        return trickle(head_of(answer, str(len(body))), body, self.pace)


@dataclass(frozen=True, slots=True)
class WrongLength(Kind):
    """Send the answer with a wrong Content-Length, and close.

    Args:
        by: the difference to the real length in bytes; negative for fewer, down to none.
    """

    by: int = 1

    def __post_init__(self) -> None:
        if not is_whole(self.by) or self.by == 0:
            raise InvalidArgumentError(
                "a WrongLength must be wrong by a number of bytes other than 0"
            )

    def instead_of(self, answer: web.Response, request: web.Request) -> Iterator[Step]:
        body = body_of(answer)
        promised = str(max(0, len(body) + self.by))
        yield head_of(answer, promised, status_with_body(answer)) + body


@dataclass(frozen=True, slots=True)
class HugeBody(Kind):
    """Answer with a very long JSON string.

    Args:
        size: its size in bytes.
        chunked: whether it is sent in chunks, without a Content-Length.
    """

    size: int = 50_000_000
    chunked: bool = False

    def __post_init__(self) -> None:
        if not is_whole(self.size) or self.size < 2:
            raise InvalidArgumentError("a HugeBody must have 2 bytes or more")

    def instead_of(self, answer: web.Response, request: web.Request) -> Iterator[Step]:
        length = None if self.chunked else str(self.size)
        yield head_of(answer, length, status_with_body(answer))
        yield from chunks(self.size) if self.chunked else long_string(self.size)


@dataclass(frozen=True, slots=True)
class RepeatedCursor(Kind):
    """Return the same page token as in the request, so that the listing never ends."""

    of_pages: ClassVar[bool] = True
    times: ClassVar[Times] = "always"

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        page = page_of(answer)
        asked = str(cursor_of(request)) or page.get("next_page_token") or Cursor("", 0)
        return page_with(page["api_keys"], asked)


@dataclass(frozen=True, slots=True)
class CycledCursors(Kind):
    """Return the same few page tokens in turn, so that the listing never ends.

    Args:
        length: the number of tokens.
    """

    length: int = 2

    of_pages: ClassVar[bool] = True
    times: ClassVar[Times] = "always"

    def __post_init__(self) -> None:
        if not is_whole(self.length) or self.length < 1:
            raise InvalidArgumentError("a cycle must have 1 cursor or more")

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return page_with(page_of(answer)["api_keys"], next_cursor(cursor_of(request), self.length))


@dataclass(frozen=True, slots=True)
class EmptyPage(Kind):
    """Return an empty page with a page token for the page that was requested."""

    of_pages: ClassVar[bool] = True

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return page_with([], next_cursor(cursor_of(request)))


def payload(body: object) -> tuple[bytes, str | None]:
    """Return *body* as the bytes of an answer, and their type.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be the body of an answer.
    """
    if body is None:
        return b"", None
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, str):
        return body.encode(), "text/plain; charset=utf-8"
    return encoded(body), "application/json"


def _check_seconds(what: str, seconds: object) -> None:
    if not isinstance(seconds, int | float) or math.isnan(seconds) or seconds < 0:
        raise InvalidArgumentError(f"{what} must have a number of seconds, 0 or more")


def _check_status(status: int | None) -> None:
    if status is not None and not (is_whole(status) and 200 <= status <= 599):
        raise InvalidArgumentError("a status must be a whole number from 200 to 599")


def _check_body(body: object) -> None:
    try:
        payload(body)
    except (TypeError, ValueError, RecursionError):
        pass
    else:
        return
    # Raised here, so that the error, which quotes the body, is not chained.
    raise InvalidArgumentError("the body of an Answer must be bytes, a str, or a JSON value")


def _check_headers(headers: object) -> None:
    if not isinstance(headers, Mapping):
        raise InvalidArgumentError("headers must be a mapping of str to str")
    for name, value in headers.items():
        if not (isinstance(name, str) and _TOKEN.fullmatch(name)):
            raise InvalidArgumentError("the name of a header is not one that HTTP allows")
        if name.lower() in _FRAMING:
            raise InvalidArgumentError(f"do not set {name}: use WrongLength, Close or HugeBody")
        if not (isinstance(value, str) and _FIELD_VALUE.fullmatch(value)):
            raise InvalidArgumentError(f"the value of {name} is not one that HTTP allows")
