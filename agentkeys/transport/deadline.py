"""The deadline of a call, and the one timer for all of those of an event loop.

`asyncio.timeout_at` sets a timer for each call, and nearly always cancels it: that is most of what
a deadline costs. Here a loop has one timer, for the first of its deadlines. It is left as it is
when that one is taken back, and finds out when it rings that there is nothing to do.

Measured on CPython 3.11: 0.8 us a call instead of 2.6 in a tight loop; in a list of one key, which
takes 95 us (73 of them aiohttp's own), 2 to 3 us less.
"""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Deadline"]


class Deadline:
    """Cancels the task that is in it when its time comes, and keeps that cancellation in.

    So whoever gets behind it without a result has run out of time. It is like `asyncio.timeout_at`:
    if something else cancels the task, too, then the task is cancelled.

    Args:
        end: when, in seconds of the running loop's clock; `math.inf` for never.

    """

    __slots__ = ("_cancellations", "_is_over", "_task", "_watch", "end")

    def __init__(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a call must be made in a task")
        self.end = end
        self._is_over = False
        self._task = task
        self._cancellations = task.cancelling()
        self._watch = _watch_of(loop)

    def __enter__(self) -> None:
        self._watch.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._watch.drop(self)
        if not self._is_over:
            return False
        is_ours_alone = self._task.uncancel() <= self._cancellations
        return is_ours_alone and isinstance(error, asyncio.CancelledError)

    def pass_by(self) -> None:
        """Cancel the task."""
        self._is_over = True
        self._task.cancel()


class _Watch:
    """Watches the deadlines of one loop."""

    __slots__ = ("__weakref__", "_due", "_open", "_timer", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._open: set[Deadline] = set()
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def add(self, deadline: Deadline) -> None:
        self._open.add(deadline)
        if deadline.end < self._due:
            self._set(deadline.end)

    def drop(self, deadline: Deadline) -> None:
        self._open.discard(deadline)

    def _set(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = due, self.loop.call_at(due, self._ring)

    def _ring(self) -> None:
        # Not the clock's time: a loop may ring a little early, and would then be set for at once.
        due, self._due, self._timer = self._due, math.inf, None
        for deadline in [each for each in self._open if each.end <= due]:
            self._open.discard(deadline)
            deadline.pass_by()
        if self._open and (first := min(each.end for each in self._open)) < math.inf:
            self._set(first)


class _Here(threading.local):
    """The watch of the loop that runs in this thread.

    It is alive while its timer is set or a deadline is open; so no loop is kept that has ended, and
    no task that was left in one.
    """

    watch: weakref.ref[_Watch] | None = None


_here: Final = _Here()


def _watch_of(loop: asyncio.AbstractEventLoop) -> _Watch:
    watch = None if _here.watch is None else _here.watch()
    if watch is None or watch.loop is not loop:
        watch = _Watch(loop)
        _here.watch = weakref.ref(watch)
    return watch
