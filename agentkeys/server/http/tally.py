"""Counting, and waiting until a count is reached."""

from __future__ import annotations

import asyncio
from typing import Final

PATIENCE: Final = 10.0
"""Seconds that a test waits for something that should happen at once."""


class Tally:
    """How often something happened. It belongs to one loop; `count` may be read anywhere.

    Args:
        what: what happened, for the sentence that says that it did not.
    """

    def __init__(self, what: str) -> None:
        self.count = 0
        self._what = what
        self._waiting: set[tuple[int, asyncio.Future[None]]] = set()

    def add(self) -> None:
        """Count one more."""
        self.count += 1
        if self._waiting:
            self._tell()

    async def reach(self, number: int, seconds: float) -> None:
        """Return when it has come to *number*.

        Raises:
            TimeoutError: it has not, after *seconds*.
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
            sentence = f"{self._what}: {self.count} after {seconds:g} seconds, and not {number}"
            raise TimeoutError(sentence)

    def _tell(self) -> None:
        for number, waiter in self._waiting:
            if self.count >= number and not waiter.done():
                waiter.set_result(None)
