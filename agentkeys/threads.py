"""Run work that cannot be interrupted in threads that nothing has to wait for.

All threads are daemons. Python joins the threads of an executor when its loop ends, and again when
the process exits: a name server, disk or keyring that does not answer would delay both long after
the call has ended. The result is delivered to a loop that may be closed by then.

There are two tools for two cases:

- `in_thread` uses a thread for each piece of work. Its caller waits for the work, tells it to stop,
  and waits a little longer when the caller is cancelled. The number of threads is not limited: a
  disk that hangs must not delay work on another disk. A thread that has finished waits a moment for
  more work, because starting a thread takes twice as long as waking it.
- `Daemons` runs any number of jobs on a limited number of threads, for lookups and the executors of
  our loops. It takes no lock, because a signal handler may call it at any step; `in_thread` may
  take a lock, because no signal handler calls it.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from agentkeys import forks
from agentkeys.cancellation import GRACE, outlast

__all__ = ["Daemons", "LateError", "NoThreadError", "Outcome", "deliver", "in_thread"]

T = TypeVar("T")

Job: TypeAlias = Callable[[], object]
Work: TypeAlias = Callable[[threading.Event], T]
"""Receives an event, and ends soon after it is set: the time is up, or the caller was cancelled."""

_THREADS: Final = 16
_IDLE: Final = 1.0  # seconds


class NoThreadError(OSError):
    """No thread can be started, and no work was started."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "no more threads can be started")


class LateError(Exception):
    """The work did not end in time, and continues."""


class Outcome(NamedTuple, Generic[T]):
    """The result or error of work, for a future: asyncio logs exceptions that nobody retrieves."""

    value: T | None
    error: BaseException | None

    @classmethod
    def of(cls, work: Callable[[], T]) -> Outcome[T]:
        """Run *work* and return its outcome."""
        try:
            return cls(work(), None)
        except BaseException as error:  # noqa: BLE001  # `result` raises it
            return cls(None, error)

    def result(self) -> T:
        """Return the result of the work, or raise its error."""
        value, error = self
        if error is None:
            return value  # type: ignore[return-value]  # an outcome without an error has a T
        try:
            raise error
        finally:
            del self, error  # or error, traceback and this frame would keep each other alive


def deliver(outcome: Outcome[T], future: asyncio.Future[Outcome[T]]) -> None:
    """Deliver an outcome to a future whose loop may be closed, from any thread."""
    with suppress(RuntimeError):
        future.get_loop().call_soon_threadsafe(_settle, future, outcome)


def _settle(future: asyncio.Future[Outcome[T]], outcome: Outcome[T]) -> None:
    if not future.done():
        future.set_result(outcome)


async def in_thread(
    work: Work[T],
    *,
    timeout: float | None = None,
    on_leaving: Callable[[asyncio.Future[Outcome[T]]], object] | None = None,
    undo: Callable[[T], object] | None = None,
) -> T:
    """Run *work* in a thread of its own, and return its result.

    A thread cannot be cancelled. If the caller is cancelled, the work is told to stop; the
    cancellation is raised when the work has ended, or after two seconds. So the caller's next step
    does not meet unfinished work.

    Args:
        work: the function to run.
        timeout: seconds after which the work is told to stop; then it has two seconds more.
        on_leaving: called with the future of work that is told to stop, because it may continue.
        undo: called with the result of the work if nobody waits for it any more, whenever it ends.

    Raises:
        LateError: the work did not end in time. Errors of *work* are raised unchanged.
        NoThreadError: no work was started.
    """
    # A separate function, so that no frame of an error's traceback holds the outcome with the
    # error.
    outcome = await _ended(work, timeout, on_leaving, _Handover(undo))
    try:
        return outcome.result()
    finally:
        del outcome


async def _ended(
    work: Work[T],
    timeout: float | None,
    on_leaving: Callable[[asyncio.Future[Outcome[T]]], object] | None,
    handover: _Handover[T],
) -> Outcome[T]:
    stop = threading.Event()
    ended: asyncio.Future[Outcome[T]] = asyncio.get_running_loop().create_future()

    def run() -> None:
        deliver(handover.finished(Outcome.of(partial(work, stop))), ended)

    _spare().do(run)
    try:
        await asyncio.wait((ended,), timeout=timeout)
    except asyncio.CancelledError:
        handover.leave()
        raise
    finally:
        if not ended.done():
            stop.set()
            if on_leaving is not None:
                on_leaving(ended)
            await outlast(ended, timeout=GRACE)
    if ended.done():
        return ended.result()
    handover.leave()
    raise LateError


class _Handover(Generic[T]):
    """The outcome of work, and whether its caller has left; the last of the two calls `undo`."""

    def __init__(self, undo: Callable[[T], object] | None) -> None:
        self._undo = undo
        self._lock = threading.Lock()
        self._is_left = False
        self._outcome: Outcome[T] | None = None

    def finished(self, outcome: Outcome[T]) -> Outcome[T]:
        with self._lock:
            self._outcome = outcome
            is_left = self._is_left
        if is_left:
            self._undone(outcome)
        return outcome

    def leave(self) -> None:
        with self._lock:
            self._is_left = True
            outcome = self._outcome
        if outcome is not None:
            self._undone(outcome)

    def _undone(self, outcome: Outcome[T]) -> None:
        if self._undo is not None and outcome.error is None:
            self._undo(outcome.result())


class _Spare:
    """The idle threads. It needs no lock, because each operation on a deque is atomic."""

    def __init__(self) -> None:
        self._idle: deque[_Hand] = deque()
        forks.watch(self)

    def do(self, job: Job) -> None:
        """Run *job* in an idle or a new thread; *job* must not raise."""
        try:
            hand = self._idle.pop()
        except IndexError:
            _start(partial(_Hand(self._idle).work, job), "agentkeys-work")
        else:
            hand.give(job)

    def begin_afresh(self) -> object:
        """Drop the threads in a forked child, which has none of them."""
        inherited, self._idle = self._idle, deque()
        return inherited


@functools.cache
def _spare() -> _Spare:
    return _Spare()  # not on import, because it registers a fork handler


class _Hand:
    """A thread and its next job."""

    def __init__(self, idle: deque[_Hand]) -> None:
        self._idle = idle
        self._job: Job | None = None
        self._given = threading.Lock()
        self._given.acquire()

    def give(self, job: Job) -> None:
        """Set the next job of this thread, which the caller has taken from the idle ones."""
        self._job = job
        self._given.release()

    def work(self, job: Job | None) -> None:
        """Run one job after the other, until there is none for a moment."""
        while job is not None:
            job()
            job = None  # or its objects would stay alive
            job = self._next()

    def _next(self) -> Job | None:
        self._idle.append(self)
        if not self._given.acquire(timeout=_IDLE):
            try:
                self._idle.remove(self)
            except ValueError:  # another thread has just taken it
                self._given.acquire()
            else:
                return None
        job, self._job = self._job, None
        return job


def _start(run: Job, name: str) -> None:
    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:  # there are too many, or the interpreter is exiting
        pass
    else:
        return
    raise NoThreadError


class Daemons:
    """Run jobs on up to 16 daemon threads; a thread ends when there are no jobs.

    It takes no lock: a signal handler or a finalizer may run between any two steps, and make a
    blocking call that waits for a job of its own. Each operation on a deque is atomic.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._begin()
        forks.watch(self)

    def do(self, job: Job) -> None:
        """Run *job* in a thread; it must not raise. If all threads are busy, the job waits.

        Raises:
            NoThreadError: no thread is running, and none can be started.
        """
        self._jobs.append(job)
        try:
            self._permits.pop()
        except IndexError:  # all threads are busy; each looks for more jobs before it ends
            return
        try:
            _start(self._work, self._name)
        except NoThreadError:
            self._permits.append(None)
            # Not run here: it would block a whole loop, and nothing could end it.
            with suppress(ValueError):  # a busy thread has taken it by now
                self._jobs.remove(job)
                raise

    def begin_afresh(self) -> object:
        """Drop the jobs in a forked child, which has none of the threads."""
        inherited = (self._jobs, self._permits)
        self._begin()
        return inherited

    def _begin(self) -> None:
        self._jobs: deque[Job] = deque()
        self._permits: deque[None] = deque((None,) * _THREADS)

    def _work(self) -> None:
        while True:
            with suppress(IndexError):
                while True:
                    self._jobs.popleft()()
            self._permits.append(None)
            # Jobs that were added before this found no permit, so this thread must take one for
            # them.
            if not self._jobs:
                return
            try:
                self._permits.pop()
            except IndexError:
                return
