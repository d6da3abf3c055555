"""One thread that does jobs in turn, and hands what is done to the event loop in batches.

A batch is what came while the one before was under way: under load many jobs share one commit and
one waking of the loop; without load a batch is a single job, which nothing delays.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection

T = TypeVar("T")

_LARGEST_BATCH: Final = 64


class Job(Generic[T]):
    """A function of a connection, whether it writes, and what became of it.

    Args:
        work: the function.
        writes: whether it needs a transaction that writes.
        done: is given the result once that is durable.
    """

    __slots__ = ("_done", "_error", "_result", "_work", "writes")

    def __init__(
        self, work: Callable[[Connection], T], *, writes: bool, done: asyncio.Future[T]
    ) -> None:
        self._work = work
        self.writes = writes
        self._done = done
        self._result: T | None = None
        self._error: BaseException | None = None

    def attempt(self, connection: Connection) -> bool:
        """Do the work; False if it raised something, which whoever waits will be told."""
        try:
            self._result = self._work(connection)
        except Exception as error:  # noqa: BLE001 - it is raised where the job came from
            self._error = error
        return self._error is None

    def fail(self, error: BaseException) -> None:
        """Note that it ended in *error*, whatever `attempt` made of it."""
        self._error = error

    def settle(self) -> None:
        """Tell whoever waits. It belongs to the loop's thread."""
        if self._done.done():
            return
        if self._error is None:
            self._done.set_result(cast("T", self._result))
        else:
            self._done.set_exception(self._error)


class Worker:
    """A thread that does jobs.

    Args:
        do: does a batch of jobs, in the thread; it never raises. It returns an error if all that
            wait are to end in it.
    """

    def __init__(self, do: Callable[[Sequence[Job[Any]]], Exception | None]) -> None:
        self._do = do
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._run, name="agentkeys-database", daemon=True)
        thread.start()

    async def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """Return what *work* returns, once that is durable."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(Job(work, writes=writes, done=done))
        return await done

    async def stop(self) -> None:
        """Return when all that was given is done, and the thread is about to end."""
        self._jobs.put(None)
        await self._ended

    def _run(self) -> None:
        # A loop that was closed without us has nobody who waits.
        with contextlib.suppress(RuntimeError):
            while (job := self._jobs.get()) is not None:
                batch = [job, *self._waiting(_LARGEST_BATCH)]
                error = self._do(batch)
                if error is not None:
                    batch += self._failed(error)
                self._loop.call_soon_threadsafe(_settle, batch)
            self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _failed(self, error: Exception) -> Iterator[Job[Any]]:
        # They have waited as long as the batch did, and would do so again.
        for job in self._waiting(self._jobs.qsize()):
            job.fail(error)
            yield job

    def _waiting(self, at_most: int) -> Iterator[Job[Any]]:
        # Only this thread takes from the queue: what is counted is there.
        for _ in range(min(self._jobs.qsize(), at_most)):
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)
                return
            yield job


def _settle(batch: Sequence[Job[Any]]) -> None:
    for job in batch:
        job.settle()
