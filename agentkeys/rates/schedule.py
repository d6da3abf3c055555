"""When each request may leave: pure arithmetic, without a clock."""

from __future__ import annotations

from collections import deque
from typing import Final

from agentkeys.arguments import number, whole_number
from agentkeys.errors import InvalidArgumentError

__all__ = ["LONGEST_PAUSE", "Schedule", "Turn", "checked_burst", "checked_rate", "gcra"]

LONGEST_PAUSE: Final = 3600.0
"""Seconds; after that a service that asked for more is asked again."""

_SLOWEST: Final = 1e-6
_FASTEST: Final = 1e6
_LARGEST_BURST: Final = 1_000_000


def gcra(tat: float, now: float, rate: float, burst: int = 1) -> tuple[float, float]:
    """Take one turn (the generic cell rate algorithm, ITU-T I.371, as a virtual schedule).

    Args:
        tat: the theoretical arrival time: when the next request is due at an even rate.
        now: seconds of the same clock.
        rate: requests a second.
        burst: how many requests may leave at once after a silence.

    Returns:
        The next *tat*, and the seconds that this request must wait.

    """
    interval = 1 / rate
    wait = tat - (burst - 1) * interval - now
    return max(tat, now) + interval, max(wait, 0.0)


class Turn:
    """The turn of one request.

    Attributes:
        slot: when it comes, in seconds of the schedule's clock.
        before: the theoretical arrival time without this turn.
        is_left: whether it was given back.
    """

    __slots__ = ("before", "is_left", "slot")

    def __init__(self, slot: float, before: float) -> None:
        self.slot = slot
        self.before = before
        self.is_left = False


class Schedule:
    """The turns of one limiter: first come, first served.

    It has a clock of its own, which stands still during a pause. So a pause delays every turn that
    was given before, and keeps their order and their distances.

    Args:
        rate: requests a second.
        burst: how many requests may leave at once after a silence.

    """

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._stood = 0.0  # seconds that the clock has stood still
        self._resumes = -1e300  # when the last pause ends
        self._tat = -1e300
        self._left_tat = -1e300  # the same for the requests that have left
        self._ahead: deque[Turn] = deque()  # the turns to come, in their order

    def reserve(self, now: float, patience: float) -> Turn | float:
        """Return the next turn; or, if it is not within *patience*, in how many seconds it is."""
        now -= self._stood
        tat, wait = gcra(self._tat, now, self.rate, self.burst)
        if wait > patience:
            return wait
        turn = Turn(now + wait, self._tat)
        if wait:
            self._drop_past(now)
            self._ahead.append(turn)
        self._tat = tat
        return turn

    def give_back(self, turn: Turn, now: float) -> None:
        """Free a turn that nobody waits for any more.

        The last turns become free. One that others have queued behind stays empty: nobody who
        comes later may overtake them.
        """
        turn.is_left = True
        self._drop_past(now - self._stood)
        while self._ahead and self._ahead[-1].is_left:
            self._tat = self._ahead.pop().before

    def clear(self, now: float) -> None:
        """Free all turns to come. What has left, and a pause, count as before."""
        self._drop_past(now - self._stood)
        if self._ahead:
            self._tat = self._ahead[0].before
            self._ahead.clear()

    def left(self, turn: Turn, now: float) -> float:
        """Return the seconds until *turn*; at 0 its request leaves.

        Requests that wake up late, for their loop was busy or their machine slept, leave one after
        the other as well: they may make up for one interval, and no more.
        """
        now -= self._stood
        if now < turn.slot:
            return turn.slot - now
        tat, wait = gcra(self._left_tat, now, self.rate, self.burst + 1)
        if not wait:
            self._left_tat = tat
        turn.slot = now + wait
        return wait

    def pause(self, now: float, seconds: float) -> None:
        """Stop the clock for so many seconds from now; they are not added to a pause that is on."""
        until = now + min(seconds, LONGEST_PAUSE)
        longer = until - max(now, self._resumes)
        if not longer > 0:  # as a comparison with NaN, too
            return
        # Those who come during the pause wait for its end, and there is no burst behind it.
        at_the_end = now - self._stood + (self.burst - 1) / self.rate
        self._tat = max(self._tat, at_the_end)
        self._stood += longer
        self._resumes = until

    def _drop_past(self, now: float) -> None:
        while self._ahead and self._ahead[0].slot <= now:
            self._ahead.popleft()


def checked_rate(rate: object) -> float:
    """Check a number of requests a second."""
    rate = number("rate", rate, unit="requests a second")
    if not _SLOWEST <= rate <= _FASTEST:
        raise InvalidArgumentError(
            f"rate must be from {_SLOWEST:f} to {_FASTEST:.0f} requests a second, not {rate!r}"
        )
    return rate


def checked_burst(burst: object) -> int:
    """Check how many requests may leave at once."""
    burst = whole_number("burst", burst, at_least=1)
    if burst > _LARGEST_BURST:
        raise InvalidArgumentError(f"burst must be {_LARGEST_BURST} or less")
    return burst
