"""What a create tells whoever sees to its key if it is cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkeys.cancellation import Waiting
    from agentkeys.transport.progress import Progress

__all__ = ["Shelter"]


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
