"""Send a faulty answer, byte by byte, on a connection that closes with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import web

from agentkeys.server.faults.holding import reset

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.web_request import BaseRequest

    from agentkeys.server.faults.holding import Holding

_CHUNK: Final = 65536

Step: TypeAlias = bytes | float
"""The next bytes to send, or the seconds to wait."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing is sent, and the connection ends.

    Args:
        seconds: the delay before its end.
        resets: whether it ends by a reset.
    """

    seconds: float = 0.0
    resets: bool = False


Sent: TypeAlias = web.Response | Iterator[Step] | Silence
"""What is sent: a complete answer, an answer in steps, or nothing."""


class Broken(web.Response):
    """An answer that is not sent as it should be; its connection ends with it.

    Args:
        answer: the correct answer.
        sent: what is sent instead.
        removal: ends the waits when it is done.
        holding: says when to give up.
    """

    def __init__(
        self,
        answer: web.Response,
        sent: Iterator[Step] | Silence,
        removal: asyncio.Future[None],
        holding: Holding,
    ) -> None:
        super().__init__(status=answer.status, headers=answer.headers, body=body_of(answer))
        self._sent = sent
        self._removal = removal
        self._holding = holding

    @property
    def is_silent(self) -> bool:
        """Whether not even its status is sent."""
        return isinstance(self._sent, Silence)

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the faulty answer, and close the connection."""
        sent = self._sent
        with self._holding.sending(request):
            for step in (sent.seconds,) if isinstance(sent, Silence) else sent:
                await self._do(step, request)
        if isinstance(sent, Silence) and sent.resets:
            reset(request)
        # A handler reports in this way that the client is gone and gets no answer.
        raise ConnectionResetError

    async def _do(self, step: Step, request: BaseRequest) -> None:
        if isinstance(step, bytes):
            await request.writer.write(step)
        elif not await self._holding.pause(self._removal, request, step):
            raise ConnectionResetError


def head_of(answer: web.Response, length: str | None, status: int | None = None) -> bytes:
    """Return the head of *answer* as it is sent, with this length or in chunks."""
    shown = web.Response(status=status or answer.status)
    lines = [f"HTTP/1.1 {shown.status} {shown.reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if length is None:
        lines.append("Transfer-Encoding: chunked")
    elif shown.status != 204:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode()


def body_of(answer: web.Response) -> bytes:
    """Return the whole body of *answer*."""
    return answer.body if isinstance(answer.body, bytes) else b""


def status_with_body(answer: web.Response) -> int:
    """Return the status of *answer*, or one that may have a body if that one may not."""
    # Clients expect no body after a 204, so its body could not be faulty.
    return 200 if answer.status == 204 else answer.status


def replaced(
    answer: web.Response, status: int | None, body: bytes, content_type: str
) -> web.Response:
    """Return *answer* with another body, and another status if one is given."""
    headers = {**answer.headers, "Content-Type": content_type}
    return web.Response(status=status or status_with_body(answer), headers=headers, body=body)


def trickle(head: bytes, body: bytes, pace: float) -> Iterator[Step]:
    """Yield a body byte by byte, or a head if there is no body."""
    if body:
        yield head
    rest = body or head
    for index in range(len(rest)):
        yield pace
        yield rest[index : index + 1]


def long_string(size: int) -> Iterator[bytes]:
    """Yield a JSON string of *size* bytes."""
    yield b'"'
    letters = size - 2
    for _ in range(letters // _CHUNK):
        yield b"x" * _CHUNK
    yield b"x" * (letters % _CHUNK) + b'"'


def chunks(size: int) -> Iterator[bytes]:
    """Yield such a string in chunks (RFC 9112, 7.1)."""
    for part in long_string(size):
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"
