"""A server that does nothing: it answers every request with the same bytes, from memory.

Run as a program, it prints its address and serves until it is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = {
    "api_key_id": "key_0123456789abcdef",
    "name": "production-agent",
    "prefix": "ag_CPorxN9Z",
    "created_at": "2026-01-01T00:00:00.000Z",
    "inbox_id": "support@acme.to",
    "used_at": "2026-01-01T00:00:00.000Z",
}


def body(keys: int, page: int = 0, pages: int = 1) -> bytes:
    """Return a page of *keys* keys, with a token to the next of *pages* pages."""
    listing = {"api_keys": [KEY] * keys, "count": keys}
    if page + 1 < pages:
        listing["next_page_token"] = str(page + 1)
    return json.dumps(listing).encode()


class Answering(asyncio.Protocol):
    """Answers each request head with the page that its page_token names."""

    def __init__(self, answers: list[bytes], seconds: float) -> None:
        self._answers = answers
        self._seconds = seconds
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while b"\r\n\r\n" in self._unread:
            head, _, self._unread = self._unread.partition(b"\r\n\r\n")
            _, _, token = head.split(b" ", 2)[1].partition(b"page_token=")
            answer = self._answers[int(token) if token else 0]
            if self._seconds:
                asyncio.get_running_loop().call_later(self._seconds, self._transport.write, answer)
            else:
                self._transport.write(answer)


async def serve(keys: int, pages: int, seconds: float) -> None:
    """Print the address and serve."""
    bodies = [body(keys, page, pages) for page in range(pages)]
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    answers = [head.format(len(each)).encode() + each for each in bodies]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(answers, seconds), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


@contextmanager
def server(keys: int, *, pages: int = 1, seconds: float = 0.0) -> Iterator[str]:
    """Run the server as a process of its own and give its address."""
    command = [sys.executable, __file__, str(keys), str(pages), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("keys", type=int, help="keys on a page")
    parser.add_argument("pages", type=int)
    parser.add_argument("seconds", type=float, help="before each answer")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.keys, arguments.pages, arguments.seconds))
