"""How many requests a second a service answers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from agentkeys.arguments import number
from agentkeys.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable


class Rate:
    """A bucket of tokens. Each request takes one; it is refilled evenly, and holds one second's.

    Args:
        limit: tokens a second.
        clock: gives seconds.
    """

    def __init__(self, limit: float, clock: Callable[[], float] = time.monotonic) -> None:
        limit = number("rate_limit", limit, unit="requests a second")
        if not (limit and 1 / limit < math.inf):
            raise InvalidArgumentError(f"rate_limit is a positive number, not {limit}")
        self._limit = limit
        self._size = max(limit, 1.0)
        self._clock = clock
        self.refill()

    def refill(self) -> None:
        """Fill the bucket."""
        self._tokens, self._counted = self._size, self._clock()

    def take(self) -> float:
        """Take a token; return 0, or the seconds until there is one if the bucket is empty."""
        now = self._clock()
        self._tokens = min(self._size, self._tokens + (now - self._counted) * self._limit)
        self._counted = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._limit
        self._tokens -= 1
        return 0.0
