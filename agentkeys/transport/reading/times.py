"""Read the times and dates that services write into aware datetimes in UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

__all__ = ["day", "moment", "since_epoch"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
# RFC 3339, 5.6 allows these forms, but fromisoformat does not read them. The offset, the seconds
# and the colon of the offset may be left out, as in ISO 8601.
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt _](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)? ?([Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def moment(text: str) -> datetime:
    """Return the moment of an ISO 8601 or RFC 3339 time, or raise ValueError.

    A time without an offset is in UTC. A leap second is the first moment after it, as in POSIX. A
    moment out of the range of datetime is the first or the last datetime.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = _odd(text)
    if found.tzinfo is UTC:  # as nearly all are
        return found
    if found.tzinfo is None and "T" not in text:
        found = _odd(text)  # without this, a date alone would be a time
    return _in_utc(found)


def day(text: str) -> date:
    """Return the day of an RFC 3339 date, or raise ValueError."""
    if not _DAY.fullmatch(text):
        raise ValueError
    return date.fromisoformat(text)


def since_epoch(seconds: float) -> datetime:
    """Return the moment that many seconds after the start of 1970, or raise OverflowError."""
    return _EPOCH + timedelta(seconds=seconds)


def _odd(text: str) -> datetime:
    parts = _TIME.fullmatch(text)
    if parts is None:
        raise ValueError
    that_day, clock, second, fraction, offset = parts.groups("")
    is_leap = second == "60"
    if is_year_0 := that_day.startswith("0000"):  # RFC 3339 has it, and it was a leap year
        that_day = that_day.replace("0000", "0004", 1)
    found = datetime.fromisoformat(
        f"{that_day}T{clock}:{'59' if is_leap else second or '00'}.{fraction[:6]:0<6}"
        f"{offset.upper()}"
    )
    if is_year_0:
        return _FIRST
    return _moved(found, timedelta(seconds=is_leap))


def _in_utc(found: datetime) -> datetime:
    offset = found.utcoffset() or timedelta()
    return _moved(found.replace(tzinfo=UTC), -offset)


def _moved(found: datetime, by: timedelta) -> datetime:
    try:
        return found + by
    except OverflowError:
        return (_LAST if by > timedelta() else _FIRST).replace(tzinfo=found.tzinfo)
