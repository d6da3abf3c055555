"""The limit of one process, for all of its event loops and threads."""

from __future__ import annotations

import asyncio
import threading
import time

from agentkeys import forks
from agentkeys.rates.contract import NoTurnError
from agentkeys.rates.schedule import Schedule, Turn, checked_burst, checked_rate

__all__ = ["RateLimit", "no_turn", "shown"]


class RateLimit(forks.Unpicklable):
    """A limit of so many requests a second, for every client that is given this object.

    Requests get their turns in the order in which they ask. In any second at most
    ``rate + burst`` requests leave. After a fork, parent and child each have the limit.

    Args:
        rate: requests a second, e.g. 50, or 0.2 for one in five seconds.
        burst: how many requests may leave at once after a silence.

    Raises:
        InvalidArgumentError: there can be no such rate or burst.

    """

    def __init__(self, rate: float, *, burst: int = 1) -> None:
        self._schedule = Schedule(checked_rate(rate), checked_burst(burst))
        # Held for a few instructions and never across an await, so that loops can share it.
        self._lock = threading.Lock()
        forks.watch(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._schedule.rate:g} a second>"

    async def take(self, patience: float) -> None:
        """Wait for the turn of one request.

        A turn that is given back because its caller is cancelled is free for the next request,
        unless other requests have queued behind it.

        Args:
            patience: seconds that the request can wait; `math.inf` for ever.

        Raises:
            NoTurnError: no turn comes within *patience*.

        """
        now = time.monotonic()
        end = now + patience
        with self._lock:
            turn = self._schedule.reserve(now, patience)
        if not isinstance(turn, Turn):
            raise no_turn(self._schedule.rate, patience, turn)
        try:
            await self._reach(turn, end)
        except (asyncio.CancelledError, NoTurnError):  # the garbage collector must take no lock
            with self._lock:
                self._schedule.give_back(turn, time.monotonic())
            raise

    def pause(self, seconds: float) -> None:
        """Give no turn for so many seconds, and delay the turns that requests wait for.

        A pause ends after an hour at most.
        """
        with self._lock:
            self._schedule.pause(time.monotonic(), seconds)

    def begin_afresh(self) -> object:
        """Have a lock of its own in a forked child, and no request that waits in the parent."""
        inherited, self._lock = self._lock, threading.Lock()  # a thread may have held the parent's
        self._schedule.clear(time.monotonic())
        return inherited

    async def _reach(self, turn: Turn, end: float) -> None:
        while (wait := self._left(turn)) > 0:
            left = end - time.monotonic()
            if wait > left:  # there was a pause in the meantime
                raise no_turn(self._schedule.rate, left, wait)
            await asyncio.sleep(wait)

    def _left(self, turn: Turn) -> float:
        with self._lock:
            return self._schedule.left(turn, time.monotonic())


def no_turn(rate: float, patience: float, wait: float) -> NoTurnError:
    """Return the error of a request that cannot wait for its turn."""
    return NoTurnError(
        f"the rate limit of {rate:g} requests a second has no turn within {shown(patience)};"
        f" the next one is in {shown(wait)}"
    )


def shown(seconds: float) -> str:
    """Return seconds as a person reads them."""
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
