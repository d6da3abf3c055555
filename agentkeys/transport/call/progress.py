"""The progress of a call, and what it says about whether the service acted on the call."""

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
    "already_deleted",
    "applied_by",
    "discard",
    "late",
]

logger: Final = logging.getLogger("agentkeys")

_SEVERITY: Final[dict[Applied, int]] = {"no": 0, "maybe": 1, "yes": 2}


@attrs.frozen
class Try:
    """One try: one request of a call.

    Attributes:
        applied: whether the service may have acted on it.
        answered: whether the service answered it, with an error.
    """

    applied: Applied
    answered: bool = False


UNSENT: Final = Try("no")
"""Nothing of the request is written yet."""

UNDER_WAY: Final = Try("maybe")
"""The request may be written, and has no answer."""


def applied_by(tries: Iterable[Try]) -> Applied:
    """Return whether the service may have acted on a call, from its tries."""
    return max((each.applied for each in tries), key=_SEVERITY.__getitem__, default="no")


class Progress:
    """The progress of a call.

    Args:
        shelter: the shelter that the call runs in, if it must not be cut off.

    Attributes:
        tries: the tries; the last one is the current one.
        renewed: the token that the call's one renewal returned.
        free: the number of tries that do not count for the retry policy: the one before a renewal.
        watch: reports to the observers, if there are any.
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
        """Whether the service may have acted on the call."""
        return applied_by(self.tries)

    @property
    def attempts(self) -> int:
        """The number of tries, with the current one."""
        return len(self.tries)

    @property
    def may_be_written(self) -> bool:
        """Whether a part of the current request may have been written."""
        return applied_by(self.tries[-1:]) != "no"

    @property
    def was_answered(self) -> bool:
        """Whether the service has answered any of the tries."""
        return any(each.answered for each in self.tries)

    @property
    def is_abandoned(self) -> bool:
        """Whether the call was cancelled, so that nobody waits for its result."""
        return self.shelter is not None and self.shelter.is_abandoned

    def begin(self) -> None:
        """Add a try that is about to be made.

        It counts as under way, until `wire.exchange` reports that nothing is written yet: a fake of
        aiohttp skips that report.
        """
        self.tries = (*self.tries, UNDER_WAY)

    def update(self, known: Try) -> None:
        """Replace the state of the current try."""
        self.tries = (*self.tries[:-1], known)

    def record(self, error: RequestError) -> None:
        """Record the error of the current try, and set the fields of *error* for the whole call."""
        self.update(Try(error.applied, answered=isinstance(error, APIError)))
        error.applied = self.applied
        error.attempts = self.attempts


class Shelter:
    """The progress of a create, for the code that waits for it and takes care of the key.

    A create that is cancelled after its request was sent would leave a key whose secret nobody has.
    So it continues long enough to receive the answer, and to store or delete the key.

    Args:
        waiting: the wait for the create.

    Attributes:
        progress: the progress of the current create's request, or None if there is none yet.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self.progress: Progress | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether the caller was cancelled, so that no new step should begin."""
        return self._waiting.cancellation is not None

    def may_have_been_sent(self) -> bool:
        """Whether the service may have received the request, or may still receive it."""
        # A collection of a third party does not report its progress.
        return self.progress is None or self.progress.applied != "no"


def already_deleted(request: Request[Any], error: RequestError, progress: Progress) -> bool:
    """Whether a 404 says that an earlier try of a DELETE deleted the key (RFC 9110, 9.2.2)."""
    return (
        request.endpoint.method == "DELETE"
        and isinstance(error, NotFoundError)
        and applied_by(progress.tries[:-1]) == "maybe"
    )


def late(
    request: Request[Any], progress: Progress, seconds: float, secrets: tuple[Secret, ...]
) -> DeadlineExceededError:
    """Return the error of a call that did not finish within *seconds*."""
    what = f"the call did not finish within {seconds:g} s; it was {_sent(progress.attempts)}"
    advice = "set a longer timeout"
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
    """Delete the key that a cancelled call created, or log a warning that the key may exist."""
    if deletion is not None:
        with suppress(AgentKeysError, TimeoutError):
            await waiting.result(deletion)
            return
    elif progress.applied == "no":
        return
    logger.warning(
        "the creation of the key %r was cancelled; the key may exist, and its secret is lost:"
        " list the keys, and delete it",
        mask(name),
    )


def _sent(attempts: int) -> str:
    return {0: "not sent yet", 1: "sent once"}.get(attempts, f"sent {attempts} times")
