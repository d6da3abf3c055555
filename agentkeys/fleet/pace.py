"""How a worker works."""

from __future__ import annotations

import attrs

__all__ = ["Pace"]


@attrs.frozen
class Pace:
    """How a worker works.

    Attributes:
        jobs: how many keys it works on at once.
        every: seconds after which one of the workers plans again.
        tries: how often a key is tried before it waits for the next plan.
        heartbeat: seconds between two signs of life.
        stale: seconds without one after which a worker's jobs are given to others.
        patience: seconds that running jobs get when the worker is stopped.
    """

    jobs: int = 16
    every: float = 3600.0
    tries: int = 5
    heartbeat: float = 1.0
    stale: float = 5.0
    patience: float = 30.0
