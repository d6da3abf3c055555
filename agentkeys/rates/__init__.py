"""How many requests a second: the protocol of a limiter, and the limit of one process.

The limit that several machines share is in `agentkeys.rates.postgres`, which is an extra. When to
try again is in `agentkeys.retry`.
"""

from __future__ import annotations

from agentkeys.errors import InvalidArgumentError
from agentkeys.rates.contract import NoTurnError, RateLimiter
from agentkeys.rates.limit import RateLimit

__all__ = ["NoTurnError", "RateLimit", "RateLimiter", "limiter"]


def limiter(rate: object) -> RateLimiter | None:
    """Return the limiter that *rate* is, or one of so many requests a second; None for no limit."""
    if rate is None:
        return None
    if isinstance(rate, RateLimiter) and not isinstance(rate, type):
        return rate
    if isinstance(rate, int | float):
        return RateLimit(rate)
    raise InvalidArgumentError(
        "rate must be a number of requests a second, or an object with the methods of"
        f" agentkeys.rates.RateLimiter, not {type(rate).__name__}"
    )
