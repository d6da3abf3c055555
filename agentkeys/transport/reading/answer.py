"""Read an answer: pure functions from an answer to a record or to an error.

The errors are returned, not raised: a traceback from here would show the body, which may hold a
secret.
"""

from __future__ import annotations

import html
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import attrs

from agentkeys.errors import APIError, Applied, DecodeError, RequestError, TransportError
from agentkeys.masking import LEFT_OUT, mask, masker, telling
from agentkeys.secret import Secret
from agentkeys.transport.call.wording import fact, sentence
from agentkeys.transport.reading.convert import BadValue
from agentkeys.transport.reading.json import loads
from agentkeys.transport.reading.salvage import salvaged

if TYPE_CHECKING:
    from agentkeys.transport.call.endpoint import Endpoint, Request
    from agentkeys.transport.reading.convert import Reader

__all__ = [
    "CUT_SHORT",
    "MAX_ANSWER",
    "MAX_ERROR",
    "Answer",
    "End",
    "Loss",
    "read",
    "refused",
    "unanswered",
]

T = TypeVar("T")

End: TypeAlias = Literal["whole", "cut short", "too long", "garbled", "under a head too long"]
Masked: TypeAlias = Callable[[str], str]
"""Returns a text without secrets."""

MAX_ANSWER: Final = 10 * 1024 * 1024
"""The largest number of bytes of an answer that are read."""
MAX_ERROR: Final = 64 * 1024
"""The largest number of bytes of an error's body that are read."""

# With these statuses the service says that it did not act (RFC 9110, 15.5; RFC 6585, 4).
_REFUSALS: Final = frozenset({400, 401, 403, 404, 409, 422, 429})
_EXPECTED: Final[Mapping[End, str]] = {
    "too long": f"no more than {MAX_ANSWER} bytes",
    "garbled": "a body that can be decoded: in gzip, or without a Content-Encoding",
    "under a head too long": "a head of no more than 64 KiB",
}
_LONGEST_TEXT: Final = 1000
_DEEPEST: Final = 20
_MOST_DETAILS: Final = 3
_PAGE: Final = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_LONGEST_HEAD: Final = 4096


@attrs.frozen
class Answer:
    """An answer: a status, some headers, and a body, which may hold a secret.

    Attributes:
        end: how the body ended: "whole", "cut short" by the connection, "too long" for our limit,
            "garbled" (it is not what Content-Encoding says), or whole "under a head too long".
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    end: End = "whole"

    @property
    def succeeded(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300


@attrs.frozen
class Loss:
    """Why no complete answer came.

    Attributes:
        words: what happened, and what to do about it.
        applied: whether the service may have acted on the request.
        lasting: whether a retry would fail in the same way.
    """

    words: str
    applied: Applied
    lasting: bool = False


CUT_SHORT: Final = Loss("the answer was cut short", "maybe")
"""The loss that stands for an answer without its end."""


def read(
    request: Request[T], answer: Answer, reader: Reader, secrets: Callable[[], tuple[Secret, ...]]
) -> T | RequestError:
    """Return the record that a 2xx answer holds, or the error that says why there is none."""
    wanted = request.endpoint.returns
    if wanted is None and answer.end in {"whole", "garbled"}:
        return None  # type: ignore[return-value]  # which is what such an endpoint returns
    found = _record(answer, wanted, reader)
    if not isinstance(found, BadValue):
        if "X-Request-Id" in answer.headers and hasattr(found, "request_id"):
            object.__setattr__(found, "request_id", request_id(answer, secrets()))
        return found
    secret = _salvaged(request.endpoint, answer, reader)
    if answer.end == "cut short":
        return unanswered(request, CUT_SHORT, secrets(), secret)
    return _unreadable(request, found, secret, request.shown(secrets()))


def _record(answer: Answer, wanted: type[T] | None, reader: Reader) -> T | BadValue:
    if answer.end != "whole" or wanted is None:
        return BadValue("$", _EXPECTED.get(answer.end, "the rest of it"))
    try:
        document = loads(answer.body)
    except ValueError:
        return BadValue("$", "JSON")
    return reader.read(wanted, document)


def _salvaged(endpoint: Endpoint[Any], answer: Answer, reader: Reader) -> Secret | None:
    """Return the new key's secret if an unreadable answer holds one; a login's token is not one."""
    if endpoint.returns is None or endpoint.authorization != "Bearer":
        return None
    is_whole = answer.end not in {"cut short", "too long"}  # as far as can be known
    return salvaged(answer.body, endpoint.returns, reader, is_whole=is_whole)


def unanswered(
    request: Request[Any], loss: Loss, secrets: tuple[Secret, ...], secret: Secret | None = None
) -> TransportError:
    """Return the error of a request that got no complete answer."""
    return TransportError(
        sentence(request.endpoint, loss.words, applied=loss.applied, salvaged=secret),
        lasting=loss.lasting,
        salvaged=secret,
        method=request.endpoint.method,
        path=request.shown(secrets),
        applied=loss.applied,
        fact=fact(request.endpoint, loss.words),
    )


def refused(request: Request[Any], answer: Answer, secrets: tuple[Secret, ...]) -> APIError:
    """Return the error for an answer other than 2xx, without any of *secrets*."""
    code, message, errors = _details(_without_a_torn_end(answer, secrets), secrets)
    status = answer.status
    kind = APIError.kind(status)
    applied: Applied = "no" if status in _REFUSALS else "maybe"
    said = ": ".join(part for part in (code, message or _summary(errors)) if part).rstrip(".")
    said = mask(said, secrets)  # together they may hold a secret that neither holds alone
    wait = _retry_after(answer.headers)
    what = (f"the service answered {_phrase(status)}", said, _explanation(status))
    advice = (
        request.endpoint.advice.get(status, kind.advice),
        wait and f"the service asks to wait {wait:g} s",
    )
    return kind(
        sentence(request.endpoint, _joined(what), _joined(advice), applied=applied),
        status=status,
        code=code,
        message=message,
        errors=errors,
        request_id=request_id(answer, secrets),
        retry_after=wait,
        method=request.endpoint.method,
        path=request.shown(secrets),
        applied=applied,
        fact=fact(request.endpoint, _joined(what)),
    )


def request_id(answer: Answer, secrets: tuple[Secret, ...]) -> str | None:
    """Return the id that the service gave the request, or None."""
    given = answer.headers.get("X-Request-Id")
    return _plain(given, masker(secrets)) or None if given else None


def _unreadable(
    request: Request[Any], fault: BadValue, secret: Secret | None, path: str
) -> DecodeError:
    what = (
        "the request succeeded, but its answer cannot be read: expected"
        f" {fault.expected} at {fault.json_path}"
    )
    return DecodeError(
        sentence(
            request.endpoint,
            what,
            "check the base URL, or look for a newer agentkeys",
            applied="yes",
            salvaged=secret,
        ),
        json_path=fault.json_path,
        expected=fault.expected,
        salvaged=secret,
        method=request.endpoint.method,
        path=path,
        fact=fact(request.endpoint, what),
    )


def _details(
    body: bytes, secrets: tuple[Secret, ...]
) -> tuple[str | None, str | None, tuple[object, ...]]:
    """Read the code, message and details of an error; the form of its body is not documented."""
    try:
        document = loads(body)
    except ValueError:
        document = _in_words(body.decode("utf-8-sig", errors="replace"))
    masked = masker(secrets)
    if not isinstance(document, dict):
        return None, _first([document], masked), ()
    error = document.get("error")
    inner = error if isinstance(error, dict) else {}
    message = _first(
        [document.get("message"), inner.get("message"), error, document.get("detail")], masked
    )
    code = _first([document.get("code"), document.get("name"), inner.get("code"), error], masked)
    details = document.get("errors") or []
    listed = details if isinstance(details, list) else [details]
    return None if code == message else code, message, _listed(listed, masked, secrets)


def _listed(
    details: list[object], masked: Masked, secrets: tuple[Secret, ...]
) -> tuple[object, ...]:
    shown = tuple(_masked(each, masked) for each in details)
    # A secret may be spread over several texts, none of which holds a piece of it.
    return (LEFT_OUT,) if telling(secrets)(json.dumps(shown, default=str)) else shown


def _in_words(text: str) -> str:
    """Return the words of an error's body that is not JSON; of an HTML page, its title."""
    if not _PAGE.match(text):
        return text
    title = _TITLE.search(text[:_LONGEST_HEAD])
    return html.unescape(title[1]) if title else ""


def _without_a_torn_end(answer: Answer, secrets: tuple[Secret, ...]) -> bytes:
    """Return the body of an answer; if it was cut, without the end, where half a secret may be."""
    if answer.end == "whole":
        return answer.body
    longest = max((len(secret.reveal().encode(errors="replace")) for secret in secrets), default=0)
    # JSON may write one character as six bytes; a new key's secret has up to 100 characters.
    return answer.body[: -max(6 * longest, 100)]


def _summary(errors: tuple[object, ...]) -> str:
    """Summarize the first few of *errors*, in which secrets are masked already."""
    return "; ".join(filter(None, map(_detail, errors[:_MOST_DETAILS])))


def _detail(error: object) -> str:
    if not isinstance(error, dict):
        return _words(error, mask)
    path = error.get("path")
    where = ".".join(map(str, path)) if isinstance(path, list) else _words(path, mask)
    what = _words(error.get("message"), mask) or _words(error.get("code"), mask)
    return _plain(f"{where}: {what}" if where and what else what or where, mask)


def _first(candidates: list[object], masked: Masked) -> str | None:
    """Return the first of *candidates* that holds text, as one line without secrets."""
    return next((words for each in candidates if (words := _words(each, masked))), None)


def _words(value: object, masked: Masked) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = "; ".join(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return _plain(value, masked) if isinstance(value, str) else ""


def _plain(text: str, masked: Masked) -> str:
    """Mask, then fold into one line of printable characters, then shorten: in this order."""
    shown = masked(text[:_LONGEST_HEAD])
    line = " ".join("".join(c if c.isprintable() else " " for c in shown).split())
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."


def _masked(value: object, masked: Masked, depth: int = 0) -> object:
    if isinstance(value, str):
        return masked(value)
    if depth == _DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {masked(str(k)): _masked(v, masked, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(each, masked, depth + 1) for each in value]
    # A number may be a password.
    written = str(value)
    return value if masked(written) == written else masked(written)


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _explanation(status: int) -> str:
    if 300 <= status < 400:
        return "redirects are not followed, to protect the token: check the base URL"
    return ""


def _joined(parts: Iterable[str | float | None]) -> str:
    return ": ".join(str(part) for part in parts if part)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds to wait (RFC 9110, 10.2.3), or None."""
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, headers.get("Date", ""))
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: str) -> float | None:
    """Return the seconds between two HTTP-dates; if *now* is missing, our own clock replaces it."""
    until, since = _timestamp(date), _timestamp(now)
    if until is None:
        return None
    return max(until - (time.time() if since is None else since), 0.0)


def _timestamp(date: str) -> float | None:
    """Read an HTTP-date in any of its three forms (RFC 9110, 5.6.7); all three are in GMT."""
    try:
        return parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return None
