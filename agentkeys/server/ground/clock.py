"""The clock of the services."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from agentkeys.errors import InvalidArgumentError

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A listing begins before the year 9999, the largest year of a cursor.
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that a test can move. It keeps running from the time that was set.

    The expiry of tokens, `created_at`, `updated_at` and `used_at` follow this clock. Timeouts and
    intervals of the service do not: they are real seconds. Any thread may move the clock.

    Args:
        source: returns the seconds since 1970, as `time.time` does. A source that always returns
            the same value makes a clock that stands still until it is moved.
    """

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = 0.0
        self._moving = threading.Lock()

    def __call__(self) -> float:
        """Return the seconds since 1970."""
        return self._source() + self._offset

    def __repr__(self) -> str:
        return f"<Clock {iso(self())}>"

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return datetime.fromtimestamp(self(), UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock forward by *seconds*, or back if they are negative.

        Raises:
            InvalidArgumentError: the new time is not in the years 1970 to 9998.
        """
        with self._moving:
            self._move(self() + seconds)

    def set(self, moment: datetime) -> None:
        """Set the clock to *moment*, forward or back.

        Raises:
            InvalidArgumentError: *moment* has no time zone, or is not in the years 1970 to 9998.
        """
        seconds = seconds_of(moment)
        with self._moving:
            self._move(seconds)

    def reset(self) -> None:
        """Use the time of the source again."""
        with self._moving:
            self._offset = 0.0

    def _move(self, seconds: float) -> None:
        if not _FIRST.timestamp() <= seconds < _LAST.timestamp():
            raise InvalidArgumentError("a clock must show a time in the years 1970 to 9998")
        self._offset = seconds - self._source()


def seconds_of(moment: object) -> float:
    """Return *moment* as seconds since 1970.

    Raises:
        InvalidArgumentError: *moment* has no time zone, or is not in the years 1970 to 9998.
    """
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidArgumentError("a moment must be a datetime with a time zone, such as UTC")
    if not _FIRST <= moment < _LAST:
        raise InvalidArgumentError("a clock must show a time in the years 1970 to 9998")
    return moment.timestamp()


def iso(seconds: float) -> str:
    """Return *seconds* since 1970 as ISO 8601 in UTC with milliseconds, which sorts as text."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
