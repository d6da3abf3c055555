"""Wait for the disk, in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from agentkeys import threads

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
    """Run *work*, which waits for the disk, in a thread; see `threads.in_thread`.

    The loop's executor is not used: it may be busy, and takes no more work when the interpreter
    exits, while a thread of the program may still be issuing a key. If no thread can be started,
    the work runs in the loop's thread: the journal must not skip a step.
    """
    try:
        return await threads.in_thread(lambda _: work(), undo=undo)
    except threads.NoThreadError:
        pass
    return work()
