"""When to try again: a pure policy."""

from __future__ import annotations

from typing import Final

import attrs

from agentkeys.arguments import number, whole_number
from agentkeys.errors import APIError, RequestError, TransportError

__all__ = ["RetryPolicy"]

# Passing trouble: whoever may repeat the request may hope (RFC 9110, 15.5.9 and 15.6; RFC 6585, 4).
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


@attrs.frozen
class RetryPolicy:
    """How often and how soon a call is tried again.

    Between two tries lies what the service's Retry-After says, or else a random time between 0 and
    ``base * 2**n`` seconds ("full jitter"), but no more than `cap`.

    Attributes:
        tries: how often a request is sent in all, at least 1; 1 never tries again.
        base: seconds; the longest first wait.
        cap: seconds; the longest wait.
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
            error: what the last try came to.
            tried: how many tries there were, at least 1.
            idempotent: whether it does no harm to act on the request twice.
            chance: a random number between 0 and 1.

        """
        if not _may_try_again(error, idempotent=idempotent):
            return None
        asked = error.retry_after if isinstance(error, APIError) else None
        return self.wait_after(tried, asked=asked, chance=chance)

    def wait_after(self, tried: int, *, asked: float | None, chance: float) -> float | None:
        """Return how many seconds to wait after so many tries, or None if there were enough.

        Args:
            tried: how many tries there were, at least 1.
            asked: seconds that the service asks for, if it does.
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
