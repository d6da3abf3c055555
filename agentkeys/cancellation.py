"""Wait for work that must finish although its caller is cancelled: a clean-up, or an answer."""

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
"""Seconds that running work may take after its caller is cancelled."""
# A call's timeout cannot be 0; with this value the call ends at once.
_LEAST: Final = 0.001


async def outlast(future: asyncio.Future[Any], *, timeout: float | None = None) -> None:
    """Wait for *future*, however often the caller is cancelled meanwhile.

    Args:
        future: what to wait for. Its result or error is ignored.
        timeout: seconds to wait; None means no limit.

    Raises:
        asyncio.CancelledError: at the end, if the caller was cancelled meanwhile.
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
    """Stop anyio from cancelling again at every turn of the loop, which uses a whole core.

    A scope of anyio cancels until the task has left it, unless the task shields itself. A program
    that is cancelled by anyio has imported it.
    """
    scope: Callable[..., AbstractContextManager[object]] | None
    scope = getattr(sys.modules.get("anyio"), "CancelScope", None)
    return nullcontext() if scope is None else scope(shield=True)


class Waiting:
    """Wait for several pieces of work, all within one time limit.

    If the caller is cancelled, the current work may take some seconds more, together with the
    clean-up that it needs. The cancellation is kept and raised at the end, at the latest at the end
    of the ``with``, whatever the result: a call that is cancelled ends as cancelled.

    Args:
        seconds: the limit for all of the work.
        grace: the limit after a cancellation, in seconds.

    Attributes:
        cancellation: the exception that cancelled the caller, or None.
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
        """Return the seconds that are left, as a timeout for the next step."""
        return max(self._end - self._now(), _LEAST)

    def half(self) -> float:
        """Return half of the seconds that are left, for a step that another step must follow."""
        return self.left() / 2

    def raise_cancellation(self) -> None:
        """Raise the cancellation, if there was one."""
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
        """Return the result of *work*, or raise its error.

        Args:
            work: what to wait for.
            most: the largest number of seconds that it may take.
            least: the seconds that it gets even if fewer are left.
            runs_on: whether it may continue for a while after its caller is cancelled.

        Raises:
            TimeoutError: the time is up, and the work was cancelled.
        """
        if self._end <= self._now() and not least:
            work.close()  # no new work is started
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
    """Start a task that `asyncio.run` does not cancel at its end.

    `asyncio.run` cancels every task that it sees. The caller of this work is such a task: it is
    cancelled, and finishes after the work.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    asyncio.tasks._unregister_task(task)  # noqa: SLF001  # asyncio's documentation, Extending
    return task
