"""Waiting for the disk, in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from agentkeys import threads

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
    """Return what *work* does, which waits for the disk, in a thread; see `threads.in_thread`.

    Not in the loop's executor: it may be busy, and takes nothing more when the interpreter ends,
    while a thread of the program's may still be issuing a key. If no more threads can be had, the
    loop waits for the disk: what is noted there must not be left out.
    """
    try:
        return await threads.in_thread(lambda _: work(), undo=undo)
    except threads.NoThreadError:
        pass
    return work()
