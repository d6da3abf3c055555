"""One limit for every process and machine that shares a PostgreSQL database.

It needs the extra ``postgres``: ``pip install 'agentkeys-sdk[postgres]'``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from typing import Final

from agentkeys import forks, threads
from agentkeys.arguments import as_secret, text
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.rates.contract import NoTurnError
from agentkeys.rates.limit import RateLimit, no_turn, shown
from agentkeys.rates.schedule import LONGEST_PAUSE, checked_burst, checked_rate
from agentkeys.secret import Secret

try:
    from agentkeys.postgres import parts, told
    from agentkeys.rates.row import Row, Seen
except ImportError as missing:  # psycopg without libpq is an ImportError as well
    if isinstance(missing, ModuleNotFoundError) and missing.name != "psycopg":
        raise
    raise ConfigurationError(
        "a rate limit in PostgreSQL needs psycopg: pip install 'agentkeys-sdk[postgres]'"
    ) from None

__all__ = ["PostgresRateLimit"]

logger: Final = logging.getLogger("agentkeys")

_LOOK_AGAIN: Final = 1.0
"""Seconds after which the row is read again, while requests wait: there may be a pause."""
_IDLE: Final = 5.0
"""Seconds after which a connection that nobody needs is closed."""
_SOONEST: Final = 0.05
_LATEST: Final = 1.0
"""Seconds between two looks at whether a database that is away has come back."""


class _Wish:
    """A request that wants a turn.

    Attributes:
        end: until when it can wait, in seconds of `time.monotonic`.
        slot: when its turn comes, on the limiter's own clock; None as long as it has none.
        error: why it gets none.
        is_left: whether nobody waits any more.
    """

    __slots__ = ("_answered", "end", "error", "is_left", "slot")

    def __init__(self, end: float) -> None:
        self.end = end
        self.slot: float | None = None
        self.error: NoTurnError | None = None
        self.is_left = False
        self._answered = asyncio.get_running_loop().create_future()

    async def answered(self, patience: float) -> None:
        """Wait until it has a slot or an error, or until just before *patience* is over."""
        patience -= min(0.1, patience / 10)  # so that our sentence comes before the deadline's
        timeout = None if patience == float("inf") else max(patience, 0.0)
        await asyncio.wait((self._answered,), timeout=timeout)

    def wake(self) -> None:
        """Tell its loop, from any thread, that it is answered."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._answered.get_loop().call_soon_threadsafe(_settle, self._answered)


def _settle(answered: asyncio.Future[None]) -> None:
    if not answered.done():
        answered.set_result(None)


class PostgresRateLimit(forks.Unpicklable):
    """A limit of so many requests a second, for all processes that name the same row.

    Every process gives the same *rate*. If the database cannot be reached, requests wait within
    their deadlines, and are then not sent. One thread asks the database, for all requests that wait
    at that moment; it ends, and closes its connection, when nobody has asked for some seconds.

    Args:
        rate: requests a second, of all processes together.
        database: the address, like ``postgresql://user@host:5432/database``. The schema
            ``agentkeys`` and the table in it are created if they are missing.
        name: what the limit is called, e.g. the service that it is for.
        burst: how many requests may leave at once after a silence.

    Raises:
        InvalidArgumentError: there can be no such rate, name or burst.
        ConfigurationError: the address cannot be one, or psycopg is not installed.

    """

    def __init__(
        self, rate: float, database: str | Secret, *, name: str = "default", burst: int = 1
    ) -> None:
        database = as_secret(database, "database")
        self._rate = checked_rate(rate)
        self._interval = 1 / self._rate
        self._name = text("name", name)
        if "\0" in self._name:
            raise InvalidArgumentError("name holds a NUL character: remove it")
        self._burst = checked_burst(burst)
        parts(database, "a rate limit")
        self._database = database
        self._daemons = threads.Daemons("agentkeys-rate")
        # For requests that wake up late: see `Schedule.left`.
        self._leaving = RateLimit(self._rate, burst=self._burst + 1)
        self._begin()
        forks.watch(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}, {self._rate:g} a second>"

    async def take(self, patience: float) -> None:
        """Wait for the turn of one request.

        A turn whose caller is cancelled goes to the next request of this process.

        Args:
            patience: seconds that the request can wait; `math.inf` for ever.

        Raises:
            NoTurnError: no turn comes within *patience*, or the database cannot be reached.

        """
        wish = _Wish(time.monotonic() + patience)
        self._ask(wish)
        try:
            await wish.answered(patience)
            await self._reach(wish, patience)
        except (asyncio.CancelledError, NoTurnError):  # the garbage collector must take no lock
            self._leave(wish)
            raise
        await self._leaving.take(wish.end - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Give no turn for so many seconds, and delay the turns that requests wait for.

        Other processes learn of it when they ask for their next turn, after a second at most. A
        pause ends after an hour at most.
        """
        if seconds > 0:  # NaN is not, and would stay in the row for all processes
            self._ask(min(float(seconds), LONGEST_PAUSE))

    def begin_afresh(self) -> object:
        """Leave the thread and its connection to the parent of a forked child."""
        inherited = (self._lock, self._asked, self._spare)
        self._begin()
        return inherited

    def _begin(self) -> None:
        self._lock = threading.Lock()  # held for a few instructions, never across an await
        self._asked: queue.SimpleQueue[_Wish | float] = queue.SimpleQueue()
        self._spare: list[float] = []  # slots that were taken and that nobody uses
        self._is_served = False
        self._stood = 0.0  # how long our own clock has stood still
        self._stood_there = 0.0  # what the row said of that last
        self._last = 0.0  # the last slot that was given
        self._trouble = ""

    def _ask(self, asked: _Wish | float) -> None:
        self._asked.put(asked)
        with self._lock:
            is_served, self._is_served = self._is_served, True
        if is_served:
            return
        with contextlib.suppress(threads.NoThreadError):
            self._daemons.do(self._serve)
            return
        with self._lock:
            self._is_served = False  # the next one tries again; this one waits, and may be served

    async def _reach(self, wish: _Wish, patience: float) -> None:
        if wish.error is not None:
            raise wish.error
        if wish.slot is None:
            why = f" ({self._trouble})" if self._trouble else ""
            raise NoTurnError(
                f"the rate limit {self._name!r} had no answer of its database within"
                f" {shown(patience)}{why}"
            )
        while (wait := wish.slot + self._stood - time.monotonic()) > 0:
            left = wish.end - time.monotonic()
            if wait > left:  # there was a pause in the meantime
                raise no_turn(self._rate, left, wait)
            await asyncio.sleep(wait)

    def _leave(self, wish: _Wish) -> None:
        with self._lock:
            wish.is_left = True
            if wish.slot is not None:
                self._spare.append(wish.slot)

    # What follows runs in the thread.

    def _serve(self) -> None:
        row = Row(self._database, self._name, self._interval, self._burst)
        pause, left = _SOONEST, list[_Wish | float]()
        while (asked := self._next(left)) is not None:
            left = []
            if not asked and not self._is_waited_for():
                continue
            try:
                self._answer(row, asked)
            except Exception as error:  # noqa: BLE001  # all would wait for a thread that has ended
                reason = told(error)[1]
            else:
                pause, self._trouble = _SOONEST, ""
                continue
            row.close()
            if not self._trouble and pause > _SOONEST:  # it did not come back at once
                logger.warning("the rate limit %r waits for its database: %s", self._name, reason)
            self._trouble = reason if pause > _SOONEST else ""
            time.sleep(pause)
            pause, left = min(2 * pause, _LATEST), asked
        row.close()

    def _next(self, left: list[_Wish | float]) -> list[_Wish | float] | None:
        """Return all that is asked now, behind what is left; None if it is time to end."""
        asked = [each for each in left if isinstance(each, float) or not each.is_left]
        with contextlib.suppress(queue.Empty):
            if not asked:
                asked.append(self._asked.get(timeout=_LOOK_AGAIN))
            while True:
                asked.append(self._asked.get_nowait())
        if not asked and time.monotonic() > self._last + self._stood + _IDLE:
            with self._lock:
                if self._asked.empty():
                    self._is_served = False
                    return None
        return asked

    def _is_waited_for(self) -> bool:
        return time.monotonic() < self._last + self._stood

    def _answer(self, row: Row, asked: list[_Wish | float]) -> None:
        now = time.monotonic()
        if pauses := [each for each in asked if isinstance(each, float)]:
            row.pause(max(pauses))
            asked[:] = [each for each in asked if not isinstance(each, float)]
        wishes = [e for e in asked if isinstance(e, _Wish) and not e.is_left and e.end > now]
        slots = self._kept(len(wishes))
        if (lacking := len(wishes) - len(slots)) or pauses or not wishes:
            patience = max((wish.end - now for wish in wishes), default=0.0)
            try:
                seen = row.take(lacking, patience) if lacking else row.look()
            except Exception:
                self._keep(slots)
                raise
            slots += self._slots(seen)
        following = (slots[-1] if slots else self._last) + self._interval
        for wish in wishes:
            self._hand_out(wish, slots, following)
        self._keep(slots)

    def _slots(self, seen: Seen) -> list[float]:
        """Return the slots that were given, on our own clock, and note how long that has stood."""
        # A row that is new, for the server has crashed, begins with 0.
        self._stood += max(0.0, seen.stood - self._stood_there)
        self._stood_there = seen.stood
        first = time.monotonic() + seen.first - self._stood
        self._last = first + (seen.granted - 1) * self._interval
        return [first + number * self._interval for number in range(seen.granted)]

    def _hand_out(self, wish: _Wish, slots: list[float], following: float) -> None:
        now = time.monotonic()
        wait = (slots[0] if slots else following) + self._stood - now
        with self._lock:
            if wish.is_left:
                return
            if slots and wait <= wish.end - now:
                wish.slot = slots.pop(0)
            else:
                wish.error = no_turn(self._rate, wish.end - now, wait)
        wish.wake()

    def _kept(self, count: int) -> list[float]:
        """Take up to *count* of the slots that nobody uses and that are still to come."""
        now = time.monotonic() - self._stood
        with self._lock:
            coming = sorted(slot for slot in self._spare if slot > now)
            self._spare = coming[count:]
        return coming[:count]

    def _keep(self, slots: list[float]) -> None:
        with self._lock:
            self._spare += slots
