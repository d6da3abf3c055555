"""When to retry: a pure policy."""

from __future__ import annotations

from typing import Final

import attrs

from agentkeys.arguments import number, whole_number
from agentkeys.errors import APIError, RequestError, TransportError

__all__ = ["RetryPolicy"]

# Transient statuses; an idempotent request is retried (RFC 9110, 15.5.9 and 15.6; RFC 6585, 4).
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


@attrs.frozen
class RetryPolicy:
    """How often and how soon a call retries its request.

    The wait between two tries is the service's Retry-After, or else a random time between 0 and
    ``base * 2**n`` seconds ("full jitter"), at most `cap`.

    Attributes:
        tries: the largest number of tries, at least 1; 1 means no retry.
        base: the longest first wait, in seconds.
        cap: the longest wait, in seconds; Retry-After may be longer.
    """

    tries: int = 4
    base: float = 0.5
    cap: float = 8.0

    def __attrs_post_init__(self) -> None:
        whole_number("tries", self.tries, at_least=1)
        for name, seconds in (("base", self.base), ("cap", self.cap)):
            number(name, seconds, unit="seconds")

    def wait(
        self, error: RequestError, *, tried: int, idempotent: bool, chance: float
    ) -> float | None:
        """Return how many seconds to wait before the next try, or None to give up.

        Args:
            error: the error of the last try.
            tried: the number of tries so far, at least 1.
            idempotent: whether the service may act on the request twice without harm.
            chance: a random number between 0 and 1.
        """
        if not _may_try_again(error, idempotent=idempotent):
            return None
        asked = error.retry_after if isinstance(error, APIError) else None
        return self.wait_after(tried, asked=asked, chance=chance)

    def wait_after(self, tried: int, *, asked: float | None, chance: float) -> float | None:
        """Return how many seconds to wait after *tried* tries, or None if that was the last try.

        Args:
            tried: the number of tries so far, at least 1.
            asked: the seconds of the service's Retry-After, or None.
            chance: a random number between 0 and 1.
        """
        if tried >= self.tries:
            return None
        if asked is not None:
            return asked
        return min(self.cap, self.base * 2.0 ** min(tried - 1, 1000)) * chance


def _may_try_again(error: RequestError, *, idempotent: bool) -> bool:
    if isinstance(error, TransportError):
        return not error.lasting and (idempotent or error.applied == "no")
    if isinstance(error, APIError):
        return error.status == 429 or (idempotent and error.status in _PASSING)
    return False
