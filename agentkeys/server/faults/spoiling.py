"""Answers that go wrong: what is sent instead of the service's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web

from agentkeys.server.faults.holding import reset
from agentkeys.server.faults.kinds import (
    Answer,
    Close,
    Delay,
    HalfBody,
    Html,
    HugeBody,
    Kind,
    MalformedJson,
    NeverAnswer,
    Redirect,
    Reset,
    Trickle,
    WrongLength,
    payload,
)
from agentkeys.server.faults.pages import spoiled_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.web_request import BaseRequest

    from agentkeys.server.faults.holding import Holding
    from agentkeys.server.faults.queue import Fault

_HTML: Final = b"<!DOCTYPE html><html><body><h1>Bad Gateway</h1></body></html>\n"
_CHUNK: Final = 65536
# Kinds of which not a byte of an answer is sent. A Delay gets here when the service closes.
_SILENT: Final = (Close, Delay, NeverAnswer, Reset)

Step: TypeAlias = bytes | float
"""What is sent next, or for how many seconds nothing is."""


class Broken(web.Response):
    """An answer that is not sent as it should be; its connection ends with it.

    Args:
        answer: the answer that should be sent.
        fault: what goes wrong.
        holding: knows when to give up.
    """

    def __init__(self, answer: web.Response, fault: Fault, holding: Holding) -> None:
        super().__init__(status=answer.status, headers=answer.headers, body=_body_of(answer))
        self._fault = fault
        self._holding = holding

    @property
    def is_silent(self) -> bool:
        """Whether not even its status is sent."""
        return isinstance(self._fault.kind, _SILENT)

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send what is to be sent, and end the connection."""
        kind = self._fault.kind
        with self._holding.sending(request):
            for step in steps(kind, self):
                await self._do(step, request)
        if isinstance(kind, Reset):
            reset(request)
        # It is how a handler says that the client has gone, and nobody is to be answered.
        raise ConnectionResetError

    async def _do(self, step: Step, request: BaseRequest) -> None:
        if isinstance(step, bytes):
            await request.writer.write(step)
        elif not await self._holding.pause(self._fault, request, step):
            raise ConnectionResetError


def spoiled(
    fault: Fault, request: web.Request, answer: web.Response, holding: Holding
) -> web.Response:
    """Return what is sent instead of *answer*."""
    match fault.kind:
        case Answer() as given:
            return _given(given)
        case Redirect(to, status):
            return web.Response(status=status, headers={"Location": to})
        case Html(status):
            return _instead(answer, status, _HTML, "text/html; charset=utf-8")
        case MalformedJson(status):
            body = _body_of(answer)[:-1] or b"{"
            return _instead(answer, status, body, "application/json")
        case kind if kind.of_pages:
            return spoiled_page(kind, request, answer)
    return Broken(answer, fault, holding)


def steps(kind: Kind, answer: web.Response) -> Iterator[Step]:
    """Return what happens when *answer* is sent by a service that misbehaves as *kind* says."""
    body = _body_of(answer)
    match kind:
        case NeverAnswer():
            yield float("inf")
        case HalfBody():
            head = _head(answer, str(len(body)))
            yield head + body[: len(body) // 2] if body else head[: head.index(b"\r") // 2]
        case Trickle(pace):
            yield from _trickle(_head(answer, str(len(body))), body, pace)
        case WrongLength(by):
            yield _head(answer, str(max(0, len(body) + by)), _may_have_body(answer)) + body
        case HugeBody(size, chunked):
            yield _head(answer, None if chunked else str(size), _may_have_body(answer))
            yield from _chunks(size) if chunked else _long_string(size)


def _trickle(head: bytes, body: bytes, pace: float) -> Iterator[Step]:
    if body:
        yield head
    rest = body or head
    for index in range(len(rest)):
        yield pace
        yield rest[index : index + 1]


def _long_string(size: int) -> Iterator[bytes]:
    yield b'"'
    letters = size - 2
    for _ in range(letters // _CHUNK):
        yield b"x" * _CHUNK
    yield b"x" * (letters % _CHUNK) + b'"'


def _chunks(size: int) -> Iterator[bytes]:
    for part in _long_string(size):
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def _head(answer: web.Response, length: str | None, status: int | None = None) -> bytes:
    shown = web.Response(status=status or answer.status)
    lines = [f"HTTP/1.1 {shown.status} {shown.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif shown.status != 204:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def _given(given: Answer) -> web.Response:
    body, content_type = payload(given.body)
    response = web.Response(status=given.status, headers=given.headers, body=body)
    if content_type and "Content-Type" not in response.headers:
        response.headers["Content-Type"] = content_type
    return response


def _instead(
    answer: web.Response, status: int | None, body: bytes, content_type: str
) -> web.Response:
    headers = {**answer.headers, "Content-Type": content_type}
    return web.Response(status=status or _may_have_body(answer), headers=headers, body=body)


def _may_have_body(answer: web.Response) -> int:
    # Clients look for no body behind a 204, so nothing could go wrong with it.
    return 200 if answer.status == 204 else answer.status


def _body_of(answer: web.Response) -> bytes:
    return answer.body if isinstance(answer.body, bytes) else b""
