"""Wait for the disk, or for a journal on another machine, in a thread."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from agentkeys import threads
from agentkeys.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread", "in_time"]

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
    """Run *work*, which waits for the disk, in a thread; see `threads.in_thread`.

    The loop's executor is not used: it may be busy, and takes no more work when the interpreter
    exits, while a thread of the program may still be issuing a key. If no thread can be started,
    the work runs in the loop's thread: the journal must not skip a step.
    """
    return await _run(work, None, undo)


async def in_time(
    work: Callable[[], T], seconds: float, *, undo: Callable[[T], object] | None = None
) -> T:
    """Run *work*, which waits for the journal, as `in_thread` does, but with a limit.

    Raises:
        DeadlineExceededError: there was no answer in *seconds*, nor in the two seconds after them.
            If the work succeeds later, its result is undone.
    """
    try:
        return await _run(work, None if seconds == math.inf else seconds, undo)
    except threads.LateError:
        pass
    raise DeadlineExceededError(f"the journal did not answer within {seconds:.3g} s", applied="no")


async def _run(
    work: Callable[[], T], timeout: float | None, undo: Callable[[T], object] | None
) -> T:
    try:
        return await threads.in_thread(lambda _: work(), timeout=timeout, undo=undo)
    except threads.NoThreadError:
        pass
    return work()
