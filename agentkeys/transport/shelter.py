"""Work that runs on for a while when who waits for it is cancelled.

A create that is cancelled once its request is on its way leaves a key whose secret nobody holds. So
it runs in a task of its own, for long enough to hear the answer and to act on it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from agentkeys.cancellation import outlast

if TYPE_CHECKING:
    from agentkeys.transport.progress import Progress

__all__ = ["GRACE", "Shelter"]

T = TypeVar("T")

GRACE: Final = 2.0
"""Seconds that cancelled work may take, if its deadline is not sooner."""

Leave: TypeAlias = Callable[["asyncio.Task[T]", float], Awaitable[object]]
"""Acts on what came of work that nobody waits for any more, in so many seconds."""


class Shelter:
    """Runs work to its end, or for `GRACE` seconds more if who waits for it is cancelled.

    Attributes:
        progress: how far the request has come that the work is about, if there is one yet.
        is_left: whether who waited for the work was cancelled: it should begin nothing new.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.is_left = False

    @property
    def is_under_way(self) -> bool:
        """Whether the service may have got the request, or may get it yet."""
        return self.progress is not None and self.progress.may_have_been_sent

    async def run(
        self, work: Callable[[], Coroutine[Any, Any, T]], *, seconds: float, leave: Leave[T]
    ) -> T:
        """Return what *work* returns, raise what it raises.

        Args:
            work: what to run. It sets `progress`, and looks at `is_left`.
            seconds: how long it may take; it sees to that itself.
            leave: is called with the work's task if the wait for it is cancelled. Then the
                cancellation goes on.

        """
        loop = asyncio.get_running_loop()
        end = math.inf if seconds == math.inf else loop.time() + seconds
        task = _hidden(work())
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            end = min(end, loop.time() + GRACE)
            leaving = _hidden(self._left(task, end, leave))
            try:
                await outlast(leaving)
            finally:
                leaving.result()
            raise
        try:
            return task.result()
        finally:
            del task  # or an error, its traceback and this frame would keep each other alive

    async def _left(self, task: asyncio.Task[T], end: float, leave: Leave[T]) -> None:
        self.is_left = True
        now = asyncio.get_running_loop().time
        if self.is_under_way:
            await asyncio.wait((task,), timeout=max(end - now(), 0.0))
        if not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=GRACE)  # for its clean-up
        if not task.cancelled() and task.done():
            task.exception()  # or asyncio would complain that nobody asked for it
        await leave(task, max(end - now(), 0.0))


def _hidden(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that `asyncio.run` does not cancel when it ends.

    It cancels every task that it sees, and so would cut the work off together with who waits for
    it. Who waits is seen, cancelled, and does not end before the work.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    asyncio.tasks._unregister_task(task)  # noqa: SLF001  # asyncio's documentation, Extending
    return task
