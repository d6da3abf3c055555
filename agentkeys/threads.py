"""Threads that nobody has to wait for, for work that cannot be interrupted.

All of them are daemons. Python joins the threads of an executor when its loop ends, and once more
when the process exits: one name server, disk or keyring that does not answer would hold up both,
long after the call has ended. What comes of the work is handed to a loop that may be gone by then.

Two things are not the same, and stay two:

- `in_thread` has a thread for each piece of work. Its caller waits for it, has it told to stop,
  and waits a little longer when it is cancelled. The number is not bounded: a disk that hangs must
  not keep the work for another one waiting. A thread that has done its work waits a moment for
  more, for to start one takes twice as long as to wake it.
- `Daemons` does whatever it is given on a bounded number of threads, for lookups and the executors
  of our loops, which may be many at once. It takes no lock, for a signal handler may come in
  between; `in_thread` may take one, for nothing of it is called from there.
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
"""It is given an event, and ends soon once that is set: its time is up, or it was cancelled."""

_THREADS: Final = 16
_IDLE: Final = 1.0  # seconds


class NoThreadError(OSError):
    """No thread can be started, and nothing was begun."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "no more threads can be started")


class LateError(Exception):
    """The work did not end in time, and goes on."""


class Outcome(NamedTuple, Generic[T]):
    """What came of work: never the exception of a future, which would be logged if nobody came."""

    value: T | None
    error: BaseException | None

    @classmethod
    def of(cls, work: Callable[[], T]) -> Outcome[T]:
        """Do *work*."""
        try:
            return cls(work(), None)
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            return cls(None, error)

    def result(self) -> T:
        """Return what the work returned, or raise what it raised."""
        value, error = self
        if error is None:
            return value  # type: ignore[return-value]  # an outcome without an error has a T
        try:
            raise error
        finally:
            del self, error  # or error, traceback and this frame would keep each other alive


def deliver(outcome: Outcome[T], future: asyncio.Future[Outcome[T]]) -> None:
    """Hand an outcome to a future whose loop may be closed, from any thread."""
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
    """Return what *work* does, in a thread that does nothing else meanwhile.

    A thread cannot be cancelled. If the caller is, the work is told to stop and waited for, for two
    seconds at most, and only then the cancellation goes on: what the caller does next meets nothing
    that is half done.

    Args:
        work: what to do.
        timeout: seconds after which the work is told to stop; then it has two more.
        on_leaving: gets what tells the end of work that is told to stop, for it may go on.
        undo: gets what the work returns if nobody waits for that any more, whenever that is.

    Raises:
        LateError: it did not end in time. Errors of *work* pass through.
        NoThreadError: nothing was begun.

    """
    # Apart, so that no frame of an error's traceback holds the outcome that holds the error.
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
    """What came of work, and whether its caller has left: whoever is the last one undoes it."""

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
    """The threads that have done their work. Without a lock, for each step on a deque is atomic."""

    def __init__(self) -> None:
        self._idle: deque[_Hand] = deque()
        forks.watch(self)

    def do(self, job: Job) -> None:
        """Have *job* done; it must not raise."""
        try:
            hand = self._idle.pop()
        except IndexError:
            _start(partial(_Hand(self._idle).work, job), "agentkeys-work")
        else:
            hand.give(job)

    def begin_afresh(self) -> object:
        """Leave the threads to the parent of a forked child, which has none of them."""
        inherited, self._idle = self._idle, deque()
        return inherited


@functools.cache
def _spare() -> _Spare:
    return _Spare()  # not on import, for it hooks into forks


class _Hand:
    """A thread, and what it is to do next."""

    def __init__(self, idle: deque[_Hand]) -> None:
        self._idle = idle
        self._job: Job | None = None
        self._given = threading.Lock()
        self._given.acquire()

    def give(self, job: Job) -> None:
        """Have *job* done next, by whoever has taken this one from those that are idle."""
        self._job = job
        self._given.release()

    def work(self, job: Job | None) -> None:
        """Do one job after the other, until for a moment there is none."""
        while job is not None:
            job()
            job = None  # or what it holds would live on
            job = self._next()

    def _next(self) -> Job | None:
        self._idle.append(self)
        if not self._given.acquire(timeout=_IDLE):
            try:
                self._idle.remove(self)
            except ValueError:  # somebody has taken it just now
                self._given.acquire()
            else:
                return None
        job, self._job = self._job, None
        return job


def _start(run: Job, name: str) -> None:
    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:  # there are too many, or the interpreter exits
        pass
    else:
        return
    raise NoThreadError


class Daemons:
    """Does jobs on up to 16 daemon threads, each of which ends when there is nothing to do.

    It takes no lock: a signal handler or a finalizer may come between any two steps, and make a
    blocking call that waits for a job of its own. Each step on a deque is atomic.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._begin()
        forks.watch(self)

    def do(self, job: Job) -> None:
        """Have *job* done; it must not raise. If all threads are stuck, it waits for one.

        Raises:
            NoThreadError: no thread is there to do it, and none can be started.

        """
        self._jobs.append(job)
        try:
            self._permits.pop()
        except IndexError:  # all are busy, and look for more to do before they end
            return
        try:
            _start(self._work, self._name)
        except NoThreadError:
            self._permits.append(None)
            # Not done here: it would hold up a whole loop, and nothing could end it.
            with suppress(ValueError):  # a busy thread has taken it by now
                self._jobs.remove(job)
                raise

    def begin_afresh(self) -> object:
        """Leave the jobs to the parent of a forked child, which has none of the threads."""
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
            # Whatever came before that found no permit, so somebody must take one for it.
            if not self._jobs:
                return
            try:
                self._permits.pop()
            except IndexError:
                return
