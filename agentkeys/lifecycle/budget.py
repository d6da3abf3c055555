"""How much time is left of a deadline."""

from __future__ import annotations

import math
import time

__all__ = ["Budget"]

# A call's timeout cannot be 0; with this it ends at once.
_LEAST = 0.001


class Budget:
    """A number of seconds, counted from now on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = math.inf if seconds == math.inf else time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, as a timeout for what must fit into them."""
        return max(self._end - time.monotonic(), _LEAST)

    def half(self) -> float:
        """Return half of that, for a step after which another one must be possible."""
        return self.left() / 2
