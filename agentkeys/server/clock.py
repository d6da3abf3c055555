"""Time, as the services tell it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Gives the seconds since 1970, UTC; `time.time` is one."""


def iso(seconds: float) -> str:
    """Return *seconds* since 1970 as ISO 8601 in UTC with milliseconds, which sorts as text."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
