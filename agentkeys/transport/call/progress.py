"""How far a call has come, and what that means for whether the service acted on it."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys.errors import AgentKeysError, APIError, Applied, DeadlineExceededError, NotFoundError
from agentkeys.masking import mask
from agentkeys.transport.call.wording import fact, sentence

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from agentkeys.cancellation import Waiting
    from agentkeys.errors import RequestError
    from agentkeys.secret import Secret
    from agentkeys.transport.call.endpoint import Request
    from agentkeys.transport.call.watching import Watch

__all__ = [
    "UNDER_WAY",
    "UNSENT",
    "Progress",
    "Shelter",
    "Try",
    "applied_by",
    "discard",
    "is_gone_as_wanted",
    "late",
]

logger: Final = logging.getLogger("agentkeys")

_SEVERITY: Final[dict[Applied, int]] = {"no": 0, "maybe": 1, "yes": 2}


@attrs.frozen
class Try:
    """One request of a call.

    Attributes:
        applied: whether the service can have acted on it.
        answered: whether it was answered, with an error.
    """

    applied: Applied
    answered: bool = False


UNSENT: Final = Try("no")
"""Nothing of it is written yet."""

UNDER_WAY: Final = Try("maybe")
"""It may be written, and is not answered."""


def applied_by(tries: Iterable[Try]) -> Applied:
    """Return whether the service can have acted on a call, by what is known of its tries."""
    return max((each.applied for each in tries), key=_SEVERITY.__getitem__, default="no")


class Progress:
    """How far a call has come.

    Args:
        shelter: what the call runs in, if it must not be cut off.

    Attributes:
        tries: its tries, the one at hand last.
        renewed: the token that its one renewal gave.
        free: how many tries do not count for when to give up: the one before a renewal.
        watch: tells observers, if there are any.

    """

    __slots__ = ("free", "renewed", "shelter", "tries", "watch")

    def __init__(self, shelter: Shelter | None = None) -> None:
        self.shelter = shelter
        self.tries: tuple[Try, ...] = ()
        self.renewed: Secret | None = None
        self.free = 0
        self.watch: Watch | None = None

    @property
    def applied(self) -> Applied:
        """Whether the service can have acted on the call."""
        return applied_by(self.tries)

    @property
    def attempts(self) -> int:
        """How many tries there were, with the one at hand."""
        return len(self.tries)

    @property
    def may_be_written(self) -> bool:
        """Whether something of the try at hand may have been written."""
        return applied_by(self.tries[-1:]) != "no"

    @property
    def was_answered(self) -> bool:
        """Whether the service has answered some try."""
        return any(each.answered for each in self.tries)

    @property
    def is_left(self) -> bool:
        """Whether nobody waits for the call any more."""
        return self.shelter is not None and self.shelter.is_left

    def begin(self) -> None:
        """Count a try that is about to be made.

        It may be under way, until `wire.exchange` says that nothing is written yet:
        a fake of aiohttp never lets it come to that.
        """
        self.tries = (*self.tries, UNDER_WAY)

    def at_hand(self, known: Try) -> None:
        """Take in what is known by now of the try at hand."""
        self.tries = (*self.tries[:-1], known)

    def note(self, error: RequestError) -> None:
        """Take in what a try came to, and tell *error* what the whole call came to."""
        self.at_hand(Try(error.applied, answered=isinstance(error, APIError)))
        error.applied = self.applied
        error.attempts = self.attempts


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
        return self.progress is None or self.progress.applied != "no"


def is_gone_as_wanted(request: Request[Any], error: RequestError, progress: Progress) -> bool:
    """Whether a 404 says that a try before this one of a DELETE did it (RFC 9110, 9.2.2)."""
    return (
        request.endpoint.method == "DELETE"
        and isinstance(error, NotFoundError)
        and applied_by(progress.tries[:-1]) == "maybe"
    )


def late(
    request: Request[Any], progress: Progress, seconds: float, secrets: tuple[Secret, ...]
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


async def discard(
    name: str,
    deletion: Coroutine[Any, Any, object] | None,
    progress: Progress,
    waiting: Waiting,
) -> None:
    """Delete the key that a cancelled call has made, or warn that there may be one."""
    if deletion is not None:
        with suppress(AgentKeysError, TimeoutError):
            await waiting.result(deletion)
            return
    elif progress.applied == "no":
        return
    logger.warning(
        "the creation of the key %r was cancelled, and the key may exist, with a secret that nobody"
        " holds: list the keys, and delete it",
        mask(name),
    )


def _sent(attempts: int) -> str:
    return {0: "not sent yet", 1: "sent once"}.get(attempts, f"sent {attempts} times")
