"""What can go wrong: each class is a way to misbehave, and says what then goes over the wire."""

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
"""Before the service acts on a request, or after it has: what it changed is durable by then."""

Times: TypeAlias = int | Literal["always"]
"""How many requests meet a fault."""

_BODILESS: Final = frozenset({204, 304})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})
_HTML: Final = b"<!DOCTYPE html><html><body><h1>Bad Gateway</h1></body></html>\n"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Any text on one line; a lone surrogate is none.
_FIELD_VALUE: Final = re.compile("[\t\x20-\x7e\x80-\ud7ff\ue000-\U0010ffff]*")


class Kind(ABC):
    """What every kind of fault is. One of your own is a frozen dataclass with `instead_of`."""

    __slots__ = ()

    of_pages: ClassVar[bool] = False
    """Whether it is about pages, and so only something that a listing of Agentry's can do."""

    times: ClassVar[Times] = 1
    """How many requests meet it, unless something else is said."""

    @abstractmethod
    def instead_of(self, answer: web.Response, request: web.Request) -> Sent:
        """Return what goes over the wire instead of *answer*.

        That is the service's own with ``when="after"``, and a 503 with ``when="before"``.
        """


@dataclass(frozen=True, slots=True)
class Reset(Kind):
    """Reset the connection, without a byte of an answer."""

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence(resets=True)


@dataclass(frozen=True, slots=True)
class Close(Kind):
    """Close the connection in good order, without a byte of an answer."""

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence()


@dataclass(frozen=True, slots=True)
class NeverAnswer(Kind):
    """Never answer. The connection stays open until the client closes it, or the service ends."""

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence(math.inf)


@dataclass(frozen=True, slots=True)
class Delay(Kind):
    """Answer as usual, but later.

    Before the commit, the request is acted on after the delay, even if the client has gone away
    by then: a service that commits late.

    Args:
        seconds: how much later; ``math.inf`` is until the fault is removed.
    """

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds("a Delay", self.seconds)

    def instead_of(self, answer: web.Response, request: web.Request) -> Silence:
        return Silence()  # the service closes, and there is no later


@dataclass(frozen=True, slots=True)
class Answer(Kind):
    """Answer with this, whatever the service itself would say.

    Args:
        status: the status, 200 to 599.
        body: bytes or a str as they are; anything else as JSON; None for no body.
        headers: headers besides Content-Type and Content-Length, or a Content-Type of your own.
    """

    status: int
    body: object = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _check_status(self.status)
        if self.body is not None and self.status in _BODILESS:
            raise InvalidArgumentError(f"an answer with status {self.status} has no body")
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
        to: the whole address to go to, for example on another host.
        status: 301, 302, 303, 307 or 308. The last two ask for the same method and body again.
    """

    to: str = field(repr=False)
    status: int = 307

    def __post_init__(self) -> None:
        if self.status not in _REDIRECTS:
            raise InvalidArgumentError(f"a redirect has one of the statuses {sorted(_REDIRECTS)}")
        _check_headers({"Location": self.to})

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return web.Response(status=self.status, headers={"Location": self.to})


@dataclass(frozen=True, slots=True)
class Html(Kind):
    """Answer with a page of HTML, as a gateway or a captive portal does.

    Args:
        status: the status; None is that of the answer it replaces.
    """

    status: int | None = None

    def __post_init__(self) -> None:
        _check_status(self.status)

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return replaced(answer, self.status, _HTML, "text/html; charset=utf-8")


@dataclass(frozen=True, slots=True)
class MalformedJson(Kind):
    """Answer with the service's own JSON, less its last character.

    Args:
        status: the status; None is that of the answer it spoils.
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
        by: how many bytes more than there are it promises; fewer if negative, down to none.
    """

    by: int = 1

    def __post_init__(self) -> None:
        if not is_whole(self.by) or self.by == 0:
            raise InvalidArgumentError("a WrongLength is wrong by a number of bytes, and not by 0")

    def instead_of(self, answer: web.Response, request: web.Request) -> Iterator[Step]:
        body = body_of(answer)
        promised = str(max(0, len(body) + self.by))
        yield head_of(answer, promised, status_with_body(answer)) + body


@dataclass(frozen=True, slots=True)
class HugeBody(Kind):
    """Answer with a very long JSON string.

    Args:
        size: how many bytes.
        chunked: send it in chunks, with no Content-Length to warn of it.
    """

    size: int = 50_000_000
    chunked: bool = False

    def __post_init__(self) -> None:
        if not is_whole(self.size) or self.size < 2:
            raise InvalidArgumentError("a HugeBody has 2 bytes or more")

    def instead_of(self, answer: web.Response, request: web.Request) -> Iterator[Step]:
        length = None if self.chunked else str(self.size)
        yield head_of(answer, length, status_with_body(answer))
        yield from chunks(self.size) if self.chunked else long_string(self.size)


@dataclass(frozen=True, slots=True)
class RepeatedCursor(Kind):
    """Give the page token back with which the page was asked for, so that it never ends."""

    of_pages: ClassVar[bool] = True
    times: ClassVar[Times] = "always"

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        page = page_of(answer)
        asked = str(cursor_of(request)) or page.get("next_page_token") or Cursor("", 0)
        return page_with(page["api_keys"], asked)


@dataclass(frozen=True, slots=True)
class CycledCursors(Kind):
    """Give the same few page tokens in turn, so that the listing never ends.

    Args:
        length: how many there are.
    """

    length: int = 2

    of_pages: ClassVar[bool] = True
    times: ClassVar[Times] = "always"

    def __post_init__(self) -> None:
        if not is_whole(self.length) or self.length < 1:
            raise InvalidArgumentError("a cycle has 1 cursor or more")

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return page_with(page_of(answer)["api_keys"], next_cursor(cursor_of(request), self.length))


@dataclass(frozen=True, slots=True)
class EmptyPage(Kind):
    """Give an empty page with a page token, which leads to the page that was asked for."""

    of_pages: ClassVar[bool] = True

    def instead_of(self, answer: web.Response, request: web.Request) -> web.Response:
        return page_with([], next_cursor(cursor_of(request)))


def payload(body: object) -> tuple[bytes, str | None]:
    """Return *body* as the bytes of an answer, and their type.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be one.
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
        raise InvalidArgumentError(f"{what} has a number of seconds, 0 or more")


def _check_status(status: int | None) -> None:
    if status is not None and not (is_whole(status) and 200 <= status <= 599):
        raise InvalidArgumentError("a status is a whole number from 200 to 599")


def _check_body(body: object) -> None:
    try:
        payload(body)
    except (TypeError, ValueError, RecursionError):
        pass
    else:
        return
    # Raised here, so that no error that quotes the body goes with it.
    raise InvalidArgumentError("the body of an Answer is bytes, a str, or what JSON can hold")


def _check_headers(headers: object) -> None:
    if not isinstance(headers, Mapping):
        raise InvalidArgumentError("headers are a mapping of str to str")
    for name, value in headers.items():
        if not (isinstance(name, str) and _TOKEN.fullmatch(name)):
            raise InvalidArgumentError("the name of a header is not one that HTTP allows")
        if name.lower() in _FRAMING:
            raise InvalidArgumentError(f"{name} is not given: WrongLength, Close and HugeBody lie")
        if not (isinstance(value, str) and _FIELD_VALUE.fullmatch(value)):
            raise InvalidArgumentError(f"the value of {name} is not one that HTTP allows")
