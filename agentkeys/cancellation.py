"""What must be waited for though the caller is cancelled: its clean-up, or an answer to act on."""

from __future__ import annotations

import asyncio
import math
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["GRACE", "Waiting", "outlast"]

T = TypeVar("T")

GRACE: Final = 2.0
"""Seconds that what is under way may take when nobody waits for it any more."""
# A call's timeout cannot be 0; with this it ends at once.
_LEAST: Final = 0.001


async def outlast(future: asyncio.Future[Any], *, timeout: float | None = None) -> None:
    """Wait for *future*, however often the caller is cancelled meanwhile.

    Args:
        future: what to wait for. What comes of it is not looked at.
        timeout: seconds to wait for it at most; None for ever.

    Raises:
        asyncio.CancelledError: in the end, if the caller was cancelled meanwhile.

    """
    now = asyncio.get_running_loop().time
    end = None if timeout is None else now() + timeout
    cancellation = None
    with _cancelled_once():
        while not future.done():
            left = None if end is None else end - now()
            if left is not None and left <= 0:
                break
            try:
                await asyncio.wait((future,), timeout=left)
            except asyncio.CancelledError as error:
                cancellation = error
    if cancellation is not None:
        try:
            raise cancellation
        finally:
            del cancellation  # or error, traceback and this frame would keep each other alive


def _cancelled_once() -> AbstractContextManager[object]:
    """Keep anyio from cancelling again at every turn of the loop, which burns a whole core.

    Its scopes cancel until the task has left them, and nothing but a scope of its own stops that.
    Whoever is cancelled by it has imported it.
    """
    scope: Callable[..., AbstractContextManager[object]] | None
    scope = getattr(sys.modules.get("anyio"), "CancelScope", None)
    return nullcontext() if scope is None else scope(shield=True)


class Waiting:
    """Waits for one piece of work after another, all of it within so many seconds.

    If who waits is cancelled, what is under way may take some seconds more, together with what must
    be done about it. The cancellation is kept, and goes on in the end: at the latest at the end of
    the ``with``, whatever else came of it, for a call that is cancelled ends as cancelled.

    Args:
        seconds: for all of it.
        grace: seconds after a cancellation.

    Attributes:
        cancellation: what was raised when who waits was cancelled, or None.
    """

    def __init__(self, seconds: float, *, grace: float = GRACE) -> None:
        self._now = asyncio.get_running_loop().time
        self._end = math.inf if seconds == math.inf else self._now() + seconds
        self._grace = grace
        self.cancellation: asyncio.CancelledError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.raise_cancellation()

    def left(self) -> float:
        """Return the seconds that are left, as a timeout for what must fit into them."""
        return max(self._end - self._now(), _LEAST)

    def half(self) -> float:
        """Return half of that, for a step after which another one must be possible."""
        return self.left() / 2

    def raise_cancellation(self) -> None:
        """Let the cancellation go on, if there was one."""
        cancellation, self.cancellation = self.cancellation, None
        if cancellation is not None:
            try:
                raise cancellation
            finally:
                del cancellation  # or error, traceback and this frame would keep each other alive

    async def result(
        self,
        work: Coroutine[Any, Any, T],
        *,
        most: float = math.inf,
        least: float = 0.0,
        runs_on: Callable[[], bool] = lambda: True,
    ) -> T:
        """Return what *work* returns, raise what it raises.

        Args:
            work: what to wait for.
            most: seconds that it may take.
            least: seconds that it gets even if there are fewer left.
            runs_on: whether it may go on for a while when who waits is cancelled.

        Raises:
            TimeoutError: it was cut off.

        """
        if self._end <= self._now() and not least:
            work.close()  # nothing new is begun
            raise TimeoutError
        task = _hidden(work)
        try:
            if self.cancellation is None:
                await asyncio.wait((task,), timeout=_finite(max(min(self.left(), most), least)))
        except asyncio.CancelledError as error:
            self._cancel(error)
        if not task.done() and self.cancellation is not None and runs_on():
            await self._outlast(task, max(min(self.left(), most), least))
        if not task.done():
            task.cancel()
            await self._outlast(task, GRACE)
        if task.cancelled() or not task.done():
            raise TimeoutError
        try:
            return task.result()
        finally:
            del task  # or an error, its traceback and this frame would keep each other alive

    async def _outlast(self, task: asyncio.Task[Any], seconds: float) -> None:
        try:
            await outlast(task, timeout=_finite(seconds))
        except asyncio.CancelledError as error:
            self._cancel(error)

    def _cancel(self, error: asyncio.CancelledError) -> None:
        if self.cancellation is None:
            self.cancellation = error
            self._end = min(self._end, self._now() + self._grace)


def _finite(seconds: float) -> float | None:
    return None if seconds == math.inf else seconds


def _hidden(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start a task that `asyncio.run` does not cancel when it ends.

    It cancels every task that it sees, and so would cut the work off together with who waits for
    it. Who waits is seen, cancelled, and does not end before the work.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    asyncio.tasks._unregister_task(task)  # noqa: SLF001  # asyncio's documentation, Extending
    return task
