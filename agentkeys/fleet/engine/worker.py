"""A worker: takes keys from the queue, and makes each as its own file declares it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.worker import Worker as Engine

from agentkeys.errors import AgentKeysError, ConfigurationError, RateLimitError
from agentkeys.fleet.carrying_out import BUSY, How, reconcile
from agentkeys.fleet.engine.declarations import Declarations
from agentkeys.fleet.engine.queue import QUEUE, TASK, Queue, Which
from agentkeys.fleet.pace import Pace
from agentkeys.fleet.places import keys_at
from agentkeys.fleet.planning import Plan, Settings, plan_of, read
from agentkeys.lifecycle.driving import disk
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from procrastinate.jobs import Job

    from agentkeys.fleet.carrying_out import Done
    from agentkeys.fleet.deciding import Do
    from agentkeys.fleet.manifest.declared import Account
    from agentkeys.transport.client import Client

__all__ = ["Worker"]

logger: Final = logging.getLogger("agentkeys")

_BUSY_FOR: Final = 5
"""Seconds after which a job is repeated if another process works on its key."""


class Worker:
    """One worker; any number of them, on any number of machines, share a queue.

    Args:
        file: the file that declares keys.
        queue: the queue, which is open.
        clients: a client of each account of which keys are declared.
        pace: how it works.
        how: how each key is made as declared.
        settings: how it plans.

    Attributes:
        done: how many keys it issued, rotated and so on.

    """

    def __init__(
        self,
        file: str,
        queue: Queue,
        clients: Mapping[Account, Client],
        *,
        pace: Pace | None = None,
        how: How | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._file = file
        self._queue = queue
        self._clients = clients
        self._settings = settings or Settings()
        self._pace = pace or Pace()
        self._how = how or How()
        self._declarations = Declarations(file, self._pace.every)
        self._engine: Engine | None = None
        self._at_work: set[int | None] = set()  # the ids of jobs
        self._unknown: set[int] = set()
        self.done: Counter[Do] = Counter()
        retry = _Retry(self._pace.tries)
        queue.app.task(name=TASK, queue=QUEUE, retry=retry, pass_context=True)(self._job)

    async def run(self, *, once: bool = False) -> None:
        """Work until it is cancelled; it then finishes what it is at, and gives the rest back.

        Args:
            once: end when no job is due, and plan nothing.

        Raises:
            ManifestError: the file has mistakes when it begins. Later ones are logged.
            JournalError: with *once*, the database cannot be used.

        """
        try:
            await self._declarations.read()
            if once:
                await self._queue.give_back(self._pace.stale)
                await self._working(once=True)
                while await self._queue.give_back(self._pace.stale):  # the end of a job was lost
                    await self._working(once=True)
                return
            beside = [
                self._again(self._planned, "nothing was planned"),
                self._again(self._gave_back, "no jobs of dead workers were taken over"),
            ]
            tasks = [asyncio.create_task(each) for each in beside]
            try:
                await self._working(once=False)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._declarations.close()

    async def _working(self, *, once: bool) -> None:
        pace = self._pace
        while True:
            self._engine = Engine(
                self._queue.app,
                queues=[QUEUE],
                concurrency=pace.jobs,
                wait=not once,
                install_signal_handlers=False,
                shutdown_graceful_timeout=pace.patience,
                update_heartbeat_interval=pace.heartbeat,
                stalled_worker_timeout=pace.stale,
                fetch_job_polling_interval=1.0,
                delete_jobs="always",  # what failed is noted by its key, not by its job
            )
            try:
                await self._engine.run()  # type: ignore[no-untyped-call]  # its own
            except Exception as error:  # noqa: BLE001  # whatever a lost database ends it with
                logger.warning(
                    "the worker lost its database (%s), and begins anew", type(error).__name__
                )
                await asyncio.sleep(pace.heartbeat)
                continue
            if once:
                return

    async def _job(self, context: JobContext, /, **data: Any) -> None:
        self._at_work.add(context.job.id)
        try:
            await self._work(Which.read(data))
        finally:
            self._at_work.discard(context.job.id)

    async def _work(self, which: Which) -> None:
        """Do one job."""
        try:
            done = await self._made_as_declared(which)
        except Exception as error:
            await self._note(which, type(error).__name__, _sentence(error))
            raise
        if done is None:
            logger.info("%s is not declared in %s, so its job is dropped", which, self._file)
            await self._queue.forget(which)
        elif done.step.why == BUSY:  # perhaps one that was killed, and whose lease is not over
            raise _BusyError(BUSY)
        elif done.step.do == "unclear":
            await self._note(which, "unclear", done.step.why)
        else:
            self.done[done.step.do] += 1
            await self._queue.forget(which)

    async def _made_as_declared(self, which: Which) -> Done | None:
        """Make a key as the file declares it, or return None if it does not."""
        declared = await self._declarations.find(which)
        if declared is None:
            return None
        client = self._clients.get(declared.account)
        if client is None:
            raise ConfigurationError(_no_client(declared.account))
        keys = keys_at(client, declared)
        return await reconcile(declared, keys, how=self._how, scope=self._settings.scope(keys))

    async def _note(self, which: Which, kind: str, sentence: str) -> None:
        logger.warning("%s", mask(f"{which}: {sentence}"))
        await self._queue.note(which, kind, sentence)

    async def _again(self, once: Callable[[], Awaitable[float]], failed: str) -> None:
        """Do something again and again, as many seconds later as it says; failures are logged."""
        while True:
            try:
                seconds = await once()
            except Exception as error:  # noqa: BLE001  # a file with mistakes, a bad store
                logger.warning("%s", mask(f"{failed}: {_sentence(error)}"))
                seconds = self._pace.stale
            await asyncio.sleep(seconds)

    async def _planned(self) -> float:
        """Plan, if that is this worker's turn: of all workers of a file, one does it."""
        async with self._queue.turn(self._file, self._pace.every) as is_ours:
            if is_ours:
                await self.distribute()
        return min(self._pace.every / 10, 60.0)

    async def distribute(self) -> int:
        """Plan, and queue each key about which something is to be done, is unclear or has failed.

        Returns:
            How many were queued.

        Raises:
            ManifestError: the file has mistakes.
            JournalError: the journal or the queue cannot be used.

        """
        with await disk.in_thread(partial(read, self._file), undo=Plan.close) as plan:
            for account in plan.accounts:
                if account in self._clients:
                    await plan_of(plan, self._clients[account], account, self._settings)
                else:
                    logger.warning("%s", _no_client(account))
            failing = await self._queue.failing()
            wanted = (Which.of(step.declared) for step in plan.steps())
            return await self._queue.put(chain(wanted, failing))

    async def _gave_back(self) -> float:
        await self._queue.give_back(self._pace.stale)
        await self._give_back_lost()
        return self._pace.stale / 2

    async def _give_back_lost(self) -> None:
        """Give back what this worker has by the database, and does not know of at two looks.

        When a database dies, the answer with a job may be lost, or the request that ends the job.
        """
        if self._engine is None or self._engine.worker_id is None:
            return
        taken = await self._queue.taken_by(self._engine.worker_id)
        unknown = taken.keys() - self._at_work
        await self._queue.put_back(taken[each] for each in unknown & self._unknown)
        self._unknown = unknown


def _no_client(account: Account) -> str:
    return (
        f"the file declares keys of {account} by now, for which this worker has no credentials:"
        " start the worker again"
    )


def _sentence(error: Exception) -> str:
    """Return what is said of an error; what is not ours may hold anything."""
    if isinstance(error, AgentKeysError):
        return str(error)
    return f"it failed with {type(error).__name__}, which is a mistake in agentkeys or in a store"


class _BusyError(AgentKeysError):
    """Another process works on a key, so this job is repeated a little later."""


class _Retry(BaseRetryStrategy):
    """Waits longer each time; what a stopped worker was at goes back at once."""

    def __init__(self, tries: int) -> None:
        self._tries = tries

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if not isinstance(exception, Exception):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, _BusyError):
            return RetryDecision(retry_in={"seconds": _BUSY_FOR})
        if not isinstance(exception, AgentKeysError) or job.attempts + 1 >= self._tries:
            return None
        asked = exception.retry_after if isinstance(exception, RateLimitError) else None
        return RetryDecision(retry_in={"seconds": round(asked or min(2**job.attempts, 300))})
