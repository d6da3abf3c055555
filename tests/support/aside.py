"""A server in threads of its own, which acts while the event loop of a client stands still."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ssl import SSLContext

PATIENCE = 20.0
"""Seconds after which something that should have happened never will."""


class Aside:
    """Answers each request with what *replies* has for its method, and notes what came.

    Args:
        replies: whole answers, as they are sent, by method.
        tls: the server's side of TLS.

    """

    def __init__(self, replies: dict[str, bytes], *, tls: SSLContext | None = None) -> None:
        self._replies = replies
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[_Line] = []
        self._came = threading.Condition()
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()
        return f"{'https' if self._tls else 'http'}://{host}:{port}"

    @property
    def connections(self) -> int:
        return len(self._lines)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.say(b"", then_close=True)

    def wait_for(self, connections: int) -> None:
        """Wait until there have been so many connections."""
        with self._came:
            assert self._came.wait_for(lambda: len(self._lines) >= connections, PATIENCE)

    def say(self, words: bytes, *, then_close: bool) -> None:
        """Say something on every connection, unasked; return when it is on its way."""
        for line in self._lines:
            line.say(words, then_close=then_close)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                connection, _ = self._listener.accept()
                with self._came:
                    self._lines.append(_Line(connection))
                    self._came.notify_all()
                threading.Thread(target=self._serve, args=(self._lines[-1],), daemon=True).start()

    def _serve(self, line: _Line) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                line.connection = self._tls.wrap_socket(line.connection, server_side=True)
            while head := line.next_head():
                method = head.split(" ")[0]
                self.requests.append(head.split("\r\n")[0])
                line.connection.sendall(self._replies[method])
        line.ended()


class _Line:
    """A connection, on which somebody else may want something said."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._bell, self._ear = socket.socketpair()
        self._words = b""
        self._said = threading.Event()
        self._is_over = threading.Event()
        self._buffer = b""
        self._then_close = False

    def say(self, words: bytes, *, then_close: bool) -> None:
        self._words, self._then_close = words, then_close
        self._said.clear()
        if self._is_over.is_set():
            return
        with contextlib.suppress(OSError):  # it has ended by itself just now
            self._bell.send(b"!")
        assert self._said.wait(PATIENCE)

    def next_head(self) -> str:
        """Return the head of the next request, without its body; "" at the end."""
        while b"\r\n\r\n" not in self._buffer or len(self._buffer) < self._length():
            ready, _, _ = select.select([self.connection, self._ear], [], [])
            if self._ear in ready:
                self._ear.recv(1)
                self.connection.sendall(self._words)
                if self._then_close:
                    return ""
                self._said.set()
                continue
            more = self.connection.recv(1 << 16)
            if not more:
                return ""
            self._buffer += more
        head, self._buffer = self._buffer[: self._length()], self._buffer[self._length() :]
        return head.decode("latin-1")

    def _length(self) -> int:
        head, _, _ = self._buffer.partition(b"\r\n\r\n")
        lengths = [
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        return len(head) + 4 + sum(lengths)

    def ended(self) -> None:
        self.connection.close()
        self._is_over.set()
        self._said.set()
        self._bell.close()
        self._ear.close()
