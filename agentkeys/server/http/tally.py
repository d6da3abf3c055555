"""A counter that can wait for a number."""

from __future__ import annotations

import asyncio
from typing import Final

PATIENCE: Final = 10.0
"""Seconds that a test waits for an event that should happen at once."""


class Tally:
    """A counter of events. It belongs to one loop; any thread may read `count`.

    Args:
        what: the events, for the text of the timeout.
    """

    def __init__(self, what: str) -> None:
        self.count = 0
        self._what = what
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()

    def add(self) -> None:
        """Count one event."""
        self.count += 1
        if self._waiting:
            self._tell()

    async def reach(self, number: int, seconds: float) -> None:
        """Wait until the count is *number*.

        Raises:
            TimeoutError: it is not, after *seconds*.
        """
        if self.count >= number:
            return
        waiter = (number, asyncio.get_running_loop().create_future())
        self._waiting.add(waiter)
        try:
            await asyncio.wait([waiter[1]], timeout=seconds)
        finally:
            self._waiting.discard(waiter)
        if not waiter[1].done():
            sentence = f"{self._what}: {self.count} after {seconds:g} seconds, not {number}"
            raise TimeoutError(sentence)

    def _tell(self) -> None:
        for number, waiter in self._waiting:
            if self.count >= number and not waiter.done():
                waiter.set_result(None)
