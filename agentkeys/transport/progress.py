"""How far a call has come, and what that means for whether the service acted on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentkeys.errors import DeadlineExceededError, NotFoundError
from agentkeys.transport.wording import fact, sentence

if TYPE_CHECKING:
    from agentkeys.cancellation import Waiting
    from agentkeys.errors import Applied, RequestError
    from agentkeys.secret import Secret
    from agentkeys.transport.endpoint import Request

__all__ = ["Progress", "Shelter", "is_gone_as_wanted", "late"]

_SEVERITY: Final[dict[Applied, int]] = {"no": 0, "maybe": 1, "yes": 2}


class Progress:
    """How far a call has come.

    Args:
        shelter: what the call runs in, if it must not be cut off.

    """

    __slots__ = ("applied", "attempts", "free", "renewed", "shelter", "under_way")

    def __init__(self, shelter: Shelter | None = None) -> None:
        self.shelter = shelter
        self.attempts = 0
        self.applied: Applied = "no"
        self.under_way = False  # whether something of the try at hand may have been written
        self.renewed: Secret | None = None  # the token that this call's one renewal gave
        self.free = 0  # attempts that are no tries: the one after a renewal

    @property
    def may_have_been_sent(self) -> bool:
        """Whether some try, or the one at hand, may have reached the service."""
        return self.under_way or self.applied != "no"

    @property
    def is_left(self) -> bool:
        """Whether nobody waits for the call any more."""
        return self.shelter is not None and self.shelter.is_left

    def begin(self) -> None:
        """Count a try that is about to be made.

        It may be under way, until `wire.exchange` says that nothing is written yet:
        a fake of aiohttp never lets it come to that.
        """
        self.attempts += 1
        self.under_way = True

    def interrupt(self) -> None:
        """Take in that the try at hand was cut off from outside."""
        if self.under_way:
            self._applied("maybe")

    def note(self, error: RequestError) -> None:
        """Take in what a try came to, and tell *error* what the whole call came to."""
        self.under_way = False
        self._applied(error.applied)
        error.applied = self.applied
        error.attempts = self.attempts

    def _applied(self, applied: Applied) -> None:
        self.applied = max(self.applied, applied, key=_SEVERITY.__getitem__)


class Shelter:
    """How far a create has come, for whoever waits for it and sees to the key.

    A create that is cancelled once its request is on its way leaves a key whose secret nobody
    holds. So it runs on for long enough to hear the answer and to act on it.

    Args:
        waiting: who waits for it.

    Attributes:
        progress: how far the request of the create at hand has come, if there is one yet.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self.progress: Progress | None = None

    @property
    def is_left(self) -> bool:
        """Whether who waited was cancelled, so that nothing new should be begun."""
        return self._waiting.cancellation is not None

    def may_have_been_sent(self) -> bool:
        """Whether the service may have got the request, or may get it yet."""
        # A collection of somebody else's does not tell.
        return self.progress is None or self.progress.may_have_been_sent


def is_gone_as_wanted(request: Request, error: RequestError, progress: Progress) -> bool:
    """Whether a 404 says that an earlier try of this DELETE did it (RFC 9110, 9.2.2)."""
    return (
        request.endpoint.method == "DELETE"
        and isinstance(error, NotFoundError)
        and progress.applied == "maybe"
    )


def late(
    request: Request, progress: Progress, seconds: float, secrets: tuple[Secret, ...]
) -> DeadlineExceededError:
    """Return the error of a call that was not done within *seconds*."""
    what = f"not done within {seconds:g} s, in which it was {_sent(progress.attempts)}"
    advice = "give it a longer timeout"
    return DeadlineExceededError(
        sentence(request.endpoint, what, advice, applied=progress.applied),
        method=request.endpoint.method,
        path=request.shown(secrets),
        attempts=progress.attempts,
        applied=progress.applied,
        fact=fact(request.endpoint, what),
    )


def _sent(attempts: int) -> str:
    return {0: "not sent yet", 1: "sent once"}.get(attempts, f"sent {attempts} times")
