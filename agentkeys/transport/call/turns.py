"""The door before each try: a limiter gives the request its turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from agentkeys.errors import DeadlineExceededError, RateLimitError
from agentkeys.rates import NoTurnError
from agentkeys.transport.call.wording import fact, sentence

if TYPE_CHECKING:
    from agentkeys.errors import RequestError
    from agentkeys.rates import RateLimiter
    from agentkeys.secret import Secret
    from agentkeys.transport.call.endpoint import Request
    from agentkeys.transport.call.progress import Progress

__all__ = ["heed", "no_turn"]


async def no_turn(
    limit: RateLimiter,
    request: Request[Any],
    progress: Progress,
    end: float,
    secrets: tuple[Secret, ...],
) -> DeadlineExceededError | None:
    """Wait for the turn of a try; return the error if no turn comes before *end*.

    The error is returned at once, and not at *end*. Nothing of this try was sent.
    """
    try:
        await limit.take(end - asyncio.get_running_loop().time())
    except NoTurnError as error:
        what = f"not sent{' again' if progress.attempts else ''}: {error}"
    else:
        return None
    advice = "send fewer requests, or give the call a longer timeout"
    return DeadlineExceededError(
        sentence(request.endpoint, what, advice, applied=progress.applied),
        method=request.endpoint.method,
        path=request.shown(secrets),
        attempts=progress.attempts,
        applied=progress.applied,
        fact=fact(request.endpoint, what),
    )


def heed(limit: RateLimiter, error: RequestError) -> None:
    """Pause the limiter for as long as a service asks that is asked too often."""
    if isinstance(error, RateLimitError) and error.retry_after:
        limit.pause(error.retry_after)
