"""The service, in a process of its own: the local one, and a bare one that answers from memory."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from agentkeys.server import LocalService
from growth.children import child, say, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from growth.children import Child

PLACE: Final = re.compile(rb" /human/v0/inboxes/agent(\d+)(?:@|%40)")
TOKEN: Final = "ag_the_token_of_the_benchmark"


async def serve(inboxes: str) -> None:
    """Run the local service, and say how much it has done whenever it is asked."""
    times: list[float] = []

    async def note(request: Any, handler: Any) -> Any:
        times.append(time.time())
        return await handler(request)

    names = [f"agent{n}@acme.to" for n in range(int(inboxes))]
    async with LocalService(
        inboxes=names, agentry_token=TOKEN, recorded_requests=0, middlewares=[_middleware(note)]
    ) as service:
        say(service.url)
        while True:
            since = await told()
            say(
                {
                    "cpu": time.process_time(),
                    "requests": len(times),
                    "times": [t for t in times if since is not None and t >= since],
                }
            )


def _middleware(handler: Any) -> Any:
    from aiohttp.web import middleware

    return middleware(handler)


@contextmanager
def serving(inboxes: int) -> Iterator[tuple[Child, str]]:
    """Run the local service and give it with its address."""
    with child("service", str(inboxes)) as process:
        yield process, process.hear()


async def answer(kind: str) -> None:
    """Answer each listing with the one key of its inbox, or with none, from memory."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(kept=kind == "kept"), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    say(f"http://{host}:{port}")
    await asyncio.Event().wait()


@contextmanager
def answering(kind: str) -> Iterator[str]:
    """Run the bare service and give its address."""
    with child("answers", kind) as process:
        yield process.hear()


class Answering(asyncio.Protocol):
    """Answers each listing with the one key of its inbox, or with none."""

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            found = PLACE.search(head)
            keys = [key(int(found[1]))] if self._kept and found else []
            body = json.dumps({"api_keys": keys, "count": len(keys)}).encode()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
                + f"{len(body)}\r\n\r\n".encode()
                + body
            )


def key(n: int) -> dict[str, str]:
    """Return the key that the bare service lists of an inbox."""
    return {
        "api_key_id": f"key{n}",
        "name": f"agent-{n}~aaaaaa",
        "prefix": f"ag_{n}_",
        "created_at": "2026-01-01T00:00:00Z",
        "inbox_id": f"agent{n}@acme.to",
    }
