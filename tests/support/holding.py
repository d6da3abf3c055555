"""A store of a test's own, which credentials are read from."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

from agentkeys import Secret
from agentkeys.stores import MemoryStore, Stored


class Holding(MemoryStore):
    """A store that gives secrets in turn, and the last one from then on; it counts its reads.

    A secret may be an error, which is raised, or None.
    """

    def __init__(self, *held: Any) -> None:
        super().__init__()
        # Secrets, for the leak tests walk down the attributes.
        self.held = [Secret(each) if isinstance(each, str) else each for each in held]
        self.reads = 0
        self.most_at_once = 0
        self._reading = 0
        self._lock = threading.Lock()

    async def read(self) -> Stored:
        with self._lock:
            self.reads += 1
            self._reading += 1
            self.most_at_once = max(self.most_at_once, self._reading)
            held = self.held.pop(0) if len(self.held) > 1 else self.held[0]
        try:
            for _ in range(5):  # others get their turn
                await asyncio.sleep(0)
            if isinstance(held, Exception):
                raise held
            return Stored.of(Secret(held) if isinstance(held, str) else held)
        finally:
            with self._lock:
                self._reading -= 1


class Telling(MemoryStore):
    """A store whose errors say the secret."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._secret = Secret(secret)

    async def read(self) -> Stored:
        raise OSError(f"{self._secret.reveal()} is held")


class Hanging(MemoryStore):
    """A store that answers its first reads, and no further one before it is opened.

    Args:
        first: how many reads it answers at once.

    """

    def __init__(self, first: int = 0) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.reads = 0
        self._first = first
        self._opened: Future[None] = Future()

    def open(self) -> None:
        self._opened.set_result(None)

    async def read(self) -> Stored:
        self.reads += 1
        if self.reads > self._first:
            self.asked.set()
            await asyncio.shield(asyncio.wrap_future(self._opened))
        return await super().read()
