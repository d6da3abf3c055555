"""What a client asks of a limiter."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from agentkeys.errors import AgentKeysError

__all__ = ["NoTurnError", "RateLimiter"]


class NoTurnError(AgentKeysError):
    """A limiter has no turn within the time that a request can wait. Nothing was sent.

    A client turns this error into a `DeadlineExceededError` with the same sentence.
    """


@runtime_checkable
class RateLimiter(Protocol):
    """Limits how many requests are sent. Implement this protocol to bring your own limiter.

    A client calls `take` before each HTTP request: each try, each login, each refresh. Several
    clients can share a limiter. They may call it from any event loop and from any thread.
    """

    async def take(self, patience: float) -> None:
        """Wait for the turn of one request.

        If the caller is cancelled, it sends no request.

        Args:
            patience: seconds that the request can wait; `math.inf` for ever.

        Raises:
            NoTurnError: no turn comes within *patience*. Raise this error as soon as it is known.

        """

    def pause(self, seconds: float) -> None:
        """Give no turn for so many seconds; the service asked for it with 429 and Retry-After.

        The method does not block.
        """
