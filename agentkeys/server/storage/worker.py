"""One thread that runs jobs in order, and reports their results to the event loop in batches.

A batch holds the jobs that arrived while the last batch was running: under load, many jobs share
one commit and one wake-up of the loop; without load, a batch is a single job, without a delay.
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
    """A function of a connection, whether it writes, and its result.

    Args:
        work: the function.
        writes: whether it needs a writing transaction.
        done: a future that gets the result when it is durable.
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
        """Run the work; return False if it raised an error, which the caller will get."""
        try:
            self._result = self._work(connection)
        except Exception as error:  # noqa: BLE001  # it is raised at the job's origin
            self._error = error
        return self._error is None

    def fail(self, error: BaseException) -> None:
        """Record that the job failed with *error*, whatever the result of `attempt`."""
        self._error = error

    def settle(self) -> None:
        """Set the result of the future. Call this in the loop's thread."""
        if self._done.done():
            return
        if self._error is None:
            self._done.set_result(cast("T", self._result))
        else:
            self._done.set_exception(self._error)


class Worker:
    """A thread that runs jobs.

    Args:
        do: runs a batch of jobs, in the thread; it never raises. It returns an error to fail all
            waiting jobs with it.
    """

    def __init__(self, do: Callable[[Sequence[Job[Any]]], Exception | None]) -> None:
        self._do = do
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._run, name="agentkeys-database", daemon=True)
        thread.start()

    async def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """Return the result of *work* when it is durable."""
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(Job(work, writes=writes, done=done))
        return await done

    async def stop(self) -> None:
        """Wait until all jobs are done, and the thread is about to end."""
        self._jobs.put(None)
        await self._ended

    def _run(self) -> None:
        # If the loop is closed, nothing waits for the result.
        with contextlib.suppress(RuntimeError):
            while (job := self._jobs.get()) is not None:
                batch = [job, *self._waiting(_LARGEST_BATCH)]
                error = self._do(batch)
                if error is not None:
                    batch += self._failed(error)
                self._loop.call_soon_threadsafe(_settle, batch)
            self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _failed(self, error: Exception) -> Iterator[Job[Any]]:
        # They have waited as long as the batch did, and would wait as long again.
        for job in self._waiting(self._jobs.qsize()):
            job.fail(error)
            yield job

    def _waiting(self, at_most: int) -> Iterator[Job[Any]]:
        # Only this thread takes from the queue, so the counted jobs are still there.
        for _ in range(min(self._jobs.qsize(), at_most)):
            job = self._jobs.get()
            if job is None:
                self._jobs.put(None)
                return
            yield job


def _settle(batch: Sequence[Job[Any]]) -> None:
    for job in batch:
        job.settle()
