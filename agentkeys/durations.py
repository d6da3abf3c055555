"""Durations as people write them, on the command line and in files: ``90d``, ``24h``, ``15m``."""

from __future__ import annotations

import re
from typing import Final

from agentkeys.errors import InvalidArgumentError

__all__ = ["parsed"]

_SECONDS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_WRITTEN: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([dhms])")


def parsed(text: str) -> float:
    """Return the seconds of a duration: a number and its unit, ``d``, ``h``, ``m`` or ``s``.

    A number without a unit is rejected, because it may mean seconds or days; only ``0`` is
    accepted.

    Raises:
        InvalidArgumentError: *text* is not a duration.
    """
    if text == "0":
        return 0.0
    found = _WRITTEN.fullmatch(text)
    if found is not None:
        return float(found[1]) * _SECONDS[found[2]]
    if re.fullmatch(r"[0-9.]+", text):
        raise InvalidArgumentError(
            f"{text!r} has no unit: write {text}s, {text}m, {text}h or {text}d"
        )
    raise InvalidArgumentError(
        f"{text!r} is not a duration: write a number and its unit, like 90d, 24h, 15m or 30s"
    )
