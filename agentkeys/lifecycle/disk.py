"""Waiting for the disk, in a thread."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from agentkeys.cancellation import outlast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_thread"]

T = TypeVar("T")

_PATIENCE: Final = 2.0  # seconds for a disk that hangs


async def in_thread(work: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
    """Return what *work* does, which waits for the disk, in a thread.

    If the caller is cancelled, the cancellation waits for it, for two seconds at most. Whenever the
    work is done then, *undo* gets what it gives.
    """
    working = _Working(work, undo)
    _start(working.run)
    ended = asyncio.wrap_future(working.ended)
    try:
        await asyncio.wait((ended,))
    except asyncio.CancelledError:
        working.leave()
        await outlast(ended, timeout=_PATIENCE)
        raise
    value, error = ended.result()
    if error is None:
        return value  # type: ignore[no-any-return]  # an outcome without an error has a T
    try:
        raise error
    finally:
        del error  # or error, traceback and this frame would keep each other alive


class _Outcome(NamedTuple):
    # Never the exception of a future, which would be logged if nobody came for it.
    value: Any
    error: BaseException | None


class _Working(Generic[T]):
    """Work, and who waits for it, who may leave while it is done."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object] | None) -> None:
        self._work = work
        self._undo = undo
        self._lock = threading.Lock()
        self._is_left = False
        self._outcome: _Outcome | None = None
        self.ended: Future[_Outcome] = Future()
        self.ended.set_running_or_notify_cancel()  # or who is cancelled would cancel it

    def run(self) -> None:
        try:
            outcome = _Outcome(self._work(), None)
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            outcome = _Outcome(None, error)
        with self._lock:
            self._outcome = outcome
            is_left = self._is_left
        if is_left:
            self._undone(outcome)
        self.ended.set_result(outcome)

    def leave(self) -> None:
        with self._lock:
            self._is_left = True
            outcome = self._outcome
        if outcome is not None:
            self._undone(outcome)

    def _undone(self, outcome: _Outcome) -> None:
        if self._undo is not None and outcome.error is None:
            self._undo(outcome.value)


def _start(run: Callable[[], None]) -> None:
    # Not the loop's executor: it may be busy, and takes nothing more when the interpreter ends,
    # while a thread of the program's may still be issuing a key.
    try:
        threading.Thread(target=run, name="agentkeys-attempt", daemon=True).start()
    except RuntimeError:  # no more threads can be had
        run()
