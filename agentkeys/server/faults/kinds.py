"""What can go wrong, as data: each class is a way to misbehave."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, TypeAlias

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.http.answers import encoded
from agentkeys.server.settings import is_whole

When: TypeAlias = Literal["before", "after"]
"""Before the service acts on a request, or after it has: what it changed is durable by then."""

Times: TypeAlias = int | Literal["always"]
"""How many requests meet a fault."""

_BODILESS: Final = frozenset({204, 304})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_FRAMING: Final = frozenset({"connection", "content-length", "transfer-encoding"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Any text on one line; a lone surrogate is none.
_FIELD_VALUE: Final = re.compile("[\t\x20-\x7e\x80-\ud7ff\ue000-\U0010ffff]*")


class Kind:
    """What every kind of fault is."""

    __slots__ = ()

    of_pages: ClassVar[bool] = False
    """Whether it is about pages, and so only something that a listing of Agentry's can do."""

    times: ClassVar[Times] = 1
    """How many requests meet it, unless something else is said."""


@dataclass(frozen=True, slots=True)
class Reset(Kind):
    """Reset the connection, without a byte of an answer."""


@dataclass(frozen=True, slots=True)
class Close(Kind):
    """Close the connection in good order, without a byte of an answer."""


@dataclass(frozen=True, slots=True)
class NeverAnswer(Kind):
    """Never answer. The connection stays open until the client closes it, or the service ends."""


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


@dataclass(frozen=True, slots=True)
class Html(Kind):
    """Answer with a page of HTML, as a gateway or a captive portal does.

    Args:
        status: the status; None is that of the answer it replaces.
    """

    status: int | None = None

    def __post_init__(self) -> None:
        _check_status(self.status)


@dataclass(frozen=True, slots=True)
class MalformedJson(Kind):
    """Answer with the service's own JSON, less its last character.

    Args:
        status: the status; None is that of the answer it spoils.
    """

    status: int | None = None

    def __post_init__(self) -> None:
        _check_status(self.status)


@dataclass(frozen=True, slots=True)
class HalfBody(Kind):
    """Send half of the answer's body and close; if it has no body, half of its status line."""


@dataclass(frozen=True, slots=True)
class Trickle(Kind):
    """Send the answer's body byte by byte; if it has no body, its head.

    Args:
        pace: seconds between two bytes.
    """

    pace: float = 1.0

    def __post_init__(self) -> None:
        _check_seconds("a Trickle", self.pace)


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


@dataclass(frozen=True, slots=True)
class RepeatedCursor(Kind):
    """Give the page token back with which the page was asked for, so that it never ends."""

    of_pages: ClassVar[bool] = True
    times: ClassVar[Times] = "always"


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


@dataclass(frozen=True, slots=True)
class EmptyPage(Kind):
    """Give an empty page with a page token, which leads to the page that was asked for."""

    of_pages: ClassVar[bool] = True


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
