"""Moments, so that the time since one is known even if clocks are set."""

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
        wall: seconds since 1970, by the wall clock, which may be set.
        boot: the id of the machine's boot; None if the system has none.
        uptime: seconds since that boot, with the time that the machine slept.
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
    """Return the id of this boot, "" if the system has none.

    It is read each time, because a process may be restored in another boot; and not in text mode,
    which takes four times as long.
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
    """Return the seconds between two moments; None if they are not known.

    Within a boot, no one can set the clock that counts. Across a boot only the wall clock would
    know, and a machine without a battery starts each boot with a wrong one. Moments without a boot
    have only the wall clock, but a moment in the future is surely wrong.
    """
    if since.boot is None or until.boot is None:
        seconds = until.wall - since.wall
    elif since.boot == until.boot:
        seconds = until.uptime - since.uptime
    else:
        return None
    return seconds if seconds >= 0 else None


def aged(since: Moment, until: Moment) -> float | None:
    """Return the seconds between two moments that may be weeks apart; None if they are not known.

    Across a boot the wall clock counts, or a period of a month would begin anew with each boot. Use
    this only where an event may be late, and does no harm if it is early by the error of a wall
    clock.
    """
    if since.boot is not None and since.boot == until.boot:
        return elapsed(since, until)
    seconds = until.wall - since.wall
    return seconds if seconds >= 0 else None


def before(moment: Moment, seconds: float) -> Moment:
    """Return the moment *seconds* before *moment*."""
    wall = max(moment.wall - seconds, 0.0)  # the clock may have been set to 1970
    if moment.boot is None or moment.uptime < seconds:  # before that boot
        return Moment(wall)
    return Moment(wall, moment.boot, moment.uptime - seconds)
