"""A network between a program and a server that can break: nothing passes, and nobody is told."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """Hands on what comes, on a loopback port of its own, until it is broken.

    While it is broken, it accepts connections and what is sent, and hands nothing on: so does a
    network that drops packets, as far as a program sees.

    Attributes:
        asked: how often a client has sent something: its round trips, if it waits for answers.
    """

    def __init__(self, port: int) -> None:
        self.asked = 0
        self._clients = set[socket.socket]()
        self._lost: list[object] = []
        self._target = ("127.0.0.1", port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ, None)
        self._is_broken = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        ends = [key.fileobj for key in self._selector.get_map().values()]
        for end in (*ends, *self._lost):
            end.close()  # type: ignore[union-attr]
        self._selector.close()

    def break_off(self) -> None:
        """Hand on nothing any more."""
        self._is_broken.set()

    def lose(self) -> None:
        """Hand on nothing of the connections that there are; new ones work."""
        for each in list(self._selector.get_map().values()):
            if each.data is not None:
                self._selector.unregister(each.fileobj)
                self._lost.append(each.fileobj)  # or it would be closed, which is an answer

    def mend(self) -> None:
        """Hand on what came meanwhile, and what comes."""
        self._is_broken.clear()

    def _run(self) -> None:
        while not self._is_over.is_set():
            if self._is_broken.is_set():
                self._is_over.wait(0.01)
                continue
            for key, _ in self._selector.select(0.01):
                if key.data is None:
                    self._accept()
                else:
                    self._pass_on(key.fileobj, key.data)

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        try:
            server = socket.create_connection(self._target)
        except OSError:
            client.close()
            return
        self._clients.add(client)
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(65536)
            self.asked += bool(data) and source in self._clients
            target.sendall(data)
        if not data:
            for each in (source, target):
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(each)
                each.close()
