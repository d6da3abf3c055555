"""A server on a real socket that answers as a test says, and records what it was sent."""

from __future__ import annotations

import asyncio
import json as stdlib_json
import struct
from collections.abc import Awaitable, Callable
from socket import SO_LINGER, SOL_SOCKET
from typing import TYPE_CHECKING, Any, Self

import attrs

if TYPE_CHECKING:
    from ssl import SSLContext

Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


@attrs.frozen
class Seen:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return stdlib_json.loads(self.body)


class Wire:
    """Answers requests with *replies* in turn, and with the last one from then on.

    A reply is what one of the functions below returns, or a function of the request that returns
    one.
    """

    def __init__(
        self, *replies: Reply | Callable[[Seen], Reply], tls: SSLContext | None = None
    ) -> None:
        self._tls = tls
        self.replies = list(replies)
        self.requests: list[Seen] = []
        self.arrived = asyncio.Event()
        self.disconnected = asyncio.Event()
        self.hung = asyncio.Event()
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while not writer.is_closing():
                await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.disconnected.set()
        except asyncio.CancelledError:
            pass  # the test is over; asyncio.streams would log it
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = await _read(reader)
        self.requests.append(seen)
        self.arrived.set()
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if not getattr(reply, "is_reply", False):
            reply = reply(seen)
        if reply is hang:
            self.hung.set()
            await reader.readexactly(1)  # the client sends nothing more, but it may go away
        else:
            await reply(writer)
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, target, headers, body)


def _is_reply(function: Any) -> Any:
    function.is_reply = True
    return function


def raw(data: bytes, *, then_close: bool = True) -> Reply:
    """Send these very bytes."""

    @_is_reply
    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then_close:
            writer.close()

    return reply


def answer(
    status: int = 200,
    body: object = None,
    headers: dict[str, str] | None = None,
    *,
    length: int | None = None,
) -> Reply:
    """Answer with JSON, or with bytes as they are; *length* makes Content-Length a lie."""
    payload = body if isinstance(body, bytes) else stdlib_json.dumps(body).encode()
    if body is None:
        payload = b""
    head = {"Content-Length": str(len(payload) if length is None else length), **(headers or {})}
    if status == 204:
        del head["Content-Length"]
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return raw(
        f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + payload,
        then_close=length is not None,
    )


@_is_reply
async def hang(writer: asyncio.StreamWriter) -> None:
    """Never answer."""


@_is_reply
async def close(writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    writer.close()


@_is_reply
async def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
