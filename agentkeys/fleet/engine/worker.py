"""A worker: takes keys from the queue, and makes each as its own file declares it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from procrastinate import JobContext
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

_BUSY_FOR: Final = 5.0
"""Seconds after which a job is repeated if another process works on its key."""

_BROKEN_FOR: Final = 1.0
"""Seconds after which it is, if what came of it could not be noted."""

_LONGEST_WAIT: Final = 300.0
"""Seconds between two tries of a key that fails, if the service names none."""


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
        queue.app.task(name=TASK, queue=QUEUE, pass_context=True)(self._job)

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
                for _ in range(self._pace.tries):
                    if not await self._queue.give_back(self._pace.stale):
                        break
                    await self._working(once=True)  # for the end of a job was lost
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
        job = context.job
        try:
            which = Which.read(data)
        except (KeyError, TypeError, ValueError):
            logger.warning("a job that names no key, or names it in another way, is dropped")
            return
        self._at_work.add(job.id)
        try:
            await self._work(job, which)
        except asyncio.CancelledError:  # the worker is to stop
            await self._queue.put_back([job])
            raise
        except AgentKeysError:  # what came of it could not be noted
            await self._queue.put_back([job], seconds=_BROKEN_FOR)
            raise
        finally:
            self._at_work.discard(job.id)

    async def _work(self, job: Job, which: Which) -> None:
        """Do one job, and put it back if it is to be done again."""
        try:
            done = await self._made_as_declared(which)
        except Exception as error:  # noqa: BLE001  # whatever a store or a client may raise
            await self._note(which, type(error).__name__, _sentence(error))
            seconds = self._wait(error, job.attempts + 1)
            if seconds is not None:
                await self._queue.put_back([job], seconds=seconds, tried=True)
            return
        if done is None:
            logger.info("%s is not declared in %s, so its job is dropped", which, self._file)
            await self._queue.forget(which)
        elif done.step.why == BUSY:  # perhaps one that was killed, and whose lease is not over
            await self._queue.put_back([job], seconds=_BUSY_FOR)
        elif done.step.do == "unclear":
            await self._note(which, "unclear", done.step.why)
        else:
            self.done[done.step.do] += 1
            await self._queue.forget(which)

    def _wait(self, error: Exception, tries: int) -> float | None:
        """Return how many seconds a key that failed so often waits for its next try, if any."""
        if not isinstance(error, AgentKeysError) or tries >= self._pace.tries:
            return None
        asked = error.retry_after if isinstance(error, RateLimitError) else None
        return asked or min(2.0 ** (tries - 1), _LONGEST_WAIT)

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
