"""When something was, so that it can be told how long ago that is, though clocks are set."""

from __future__ import annotations

import os
import time
from typing import Final

import attrs

__all__ = ["Moment", "aged", "before", "elapsed", "now"]

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
_LONGEST: Final = 64  # bytes, more than a UUID has


@attrs.frozen
class Moment:
    """A moment by two clocks.

    Attributes:
        wall: seconds since 1970, by a clock that anybody may set.
        boot: which boot of the machine it was in; None if the system has no name for it.
        uptime: seconds since that boot, those that the machine slept included.
    """

    wall: float
    boot: str | None = None
    uptime: float = 0.0


def now() -> Moment:
    """Return this moment."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    boot = _boot() if clock is not None else ""
    if clock is None or not boot:
        return Moment(time.time())
    return Moment(time.time(), boot, time.clock_gettime(clock))


def _boot() -> str:
    """Return the name of this boot, "" if the system has none.

    It is read each time, for a process may have been restored in another boot; and not as a text
    file, which takes four times as long.
    """
    try:
        descriptor = os.open(_BOOT_ID, os.O_RDONLY)
    except OSError:  # not Linux, or without /proc
        return ""
    try:
        return os.read(descriptor, _LONGEST).decode().strip()
    finally:
        os.close(descriptor)


def elapsed(since: Moment, until: Moment) -> float | None:
    """Return the seconds between two moments; None if no clock can tell.

    In one boot nobody can set the clock that counts. Over a boot only the wall clock would know,
    and a machine without a battery begins each boot with a wrong one. Moments without a boot have
    nothing else, but what lies ahead is surely wrong.
    """
    if since.boot is None or until.boot is None:
        seconds = until.wall - since.wall
    elif since.boot == until.boot:
        seconds = until.uptime - since.uptime
    else:
        return None
    return seconds if seconds >= 0 else None


def aged(since: Moment, until: Moment) -> float | None:
    """Return the seconds between two moments that may be weeks apart; None if no clock can tell.

    Over a boot it is the wall clock that tells, or what is to last for a month would begin anew
    with each boot. It is for what may come too late, and harms nobody if it comes too early by what
    a wall clock is wrong.
    """
    if since.boot is not None and since.boot == until.boot:
        return elapsed(since, until)
    seconds = until.wall - since.wall
    return seconds if seconds >= 0 else None


def before(moment: Moment, seconds: float) -> Moment:
    """Return the moment that was so many seconds before that one."""
    wall = max(moment.wall - seconds, 0.0)  # the clock may have been set to 1970
    if moment.boot is None or moment.uptime < seconds:  # it was before that boot
        return Moment(wall)
    return Moment(wall, moment.boot, moment.uptime - seconds)
