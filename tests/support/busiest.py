"""How many requests there were in the busiest second."""

from __future__ import annotations

TINY = 1e-9
"""Seconds: what adding up floats may cost."""


def busiest_second(times: list[float]) -> int:
    """Return the largest number of *times* in one second, its end not included."""
    times = sorted(times)
    return max((sum(t <= u < t + 1 - TINY for u in times) for t in times), default=0)
