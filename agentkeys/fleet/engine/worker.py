"""A worker: takes keys from the queue, and makes each as its own file declares it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from procrastinate import BaseRetryStrategy, RetryDecision

from agentkeys.errors import AgentKeysError, JournalError, RateLimitError
from agentkeys.fleet.carrying_out import BUSY, How, reconcile
from agentkeys.fleet.engine.queue import QUEUE, TASK, Queue, Which
from agentkeys.fleet.pace import Pace
from agentkeys.fleet.places import keys_at
from agentkeys.fleet.planning import Settings, plan_of, read
from agentkeys.lifecycle.driving import disk

if TYPE_CHECKING:
    from procrastinate.jobs import Job

    from agentkeys.fleet.deciding import Do
    from agentkeys.fleet.manifest.declared import Account, Declared
    from agentkeys.fleet.planning import Plan
    from agentkeys.transport.client import Client

__all__ = ["Worker"]

logger: Final = logging.getLogger("agentkeys")

_BUSY_FOR: Final = 5
"""Seconds after which a job is repeated if another process works on its key."""
_MOST: Final = 500


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
        done: how often it did what.


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
        self._plan: Plan | None = None
        self.done: Counter[Do] = Counter()
        self._stamp: tuple[int, int] | None = None
        queue.app.task(name=TASK, queue=QUEUE, retry=_Retry(self._pace.tries))(self._work)

    async def run(self, *, once: bool = False) -> None:
        """Work until it is cancelled; it then finishes what it is at, and gives the rest back.

        Args:
            once: end when no job is left, and plan nothing.

        Raises:
            ManifestError: the file has mistakes.

        """
        await self._read()
        beside = [] if once else [self._planning(), self._giving_back()]
        tasks = [asyncio.create_task(each) for each in beside]
        try:
            await self._working(once=once)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._plan is not None:
                self._plan.close()

    async def _working(self, *, once: bool) -> None:
        pace = self._pace
        while True:
            try:
                await self._queue.app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=pace.jobs,
                    wait=not once,
                    install_signal_handlers=False,
                    shutdown_graceful_timeout=pace.patience,
                    update_heartbeat_interval=pace.heartbeat,
                    stalled_worker_timeout=pace.stale,
                    fetch_job_polling_interval=1.0,
                    delete_jobs="successful",
                )
            except Exception as error:  # noqa: BLE001  # whatever a lost database ends it with
                logger.warning(
                    "the worker lost its database (%s), and begins anew", type(error).__name__
                )
                await asyncio.sleep(pace.heartbeat)
                continue
            if once:
                return

    async def _work(self, **data: Any) -> None:
        """Do one job."""
        which = Which.read(data)
        declared = await self._declared(which)
        if declared is None:
            logger.info("%s is not declared in %s, so its job is dropped", which, self._file)
            await self._queue.forget(which)
            return
        client = self._clients.get(declared.account)
        if client is None:
            await self._queue.note(which, "ConfigurationError", f"no client of {declared.account}")
            return
        keys = keys_at(client, declared)
        try:
            done = await reconcile(declared, keys, how=self._how, scope=self._settings.scope(keys))
        except AgentKeysError as error:
            await self._queue.note(which, type(error).__name__, str(error))
            raise
        if done.step.why == BUSY:  # perhaps one that was killed, and whose lease is not over
            raise _BusyError(BUSY)
        self.done[done.step.do] += 1
        if done.step.do == "unclear":
            await self._queue.note(which, "unclear", done.step.why)
        else:
            await self._queue.forget(which)

    async def _declared(self, which: Which) -> Declared | None:
        """Return what the file says of a key; the file is read again if it has changed."""
        if (found := self._found(which)) is None and self._stamp != _stamp(self._file):
            await self._read()
            found = self._found(which)
        return found

    def _found(self, which: Which) -> Declared | None:
        assert self._plan is not None  # noqa: S101  # it was read when it began
        return self._plan.declared(which.account, which.place, which.name)

    async def _read(self) -> None:
        stamp = _stamp(self._file)
        plan = await disk.in_thread(partial(read, self._file, with_journal=False))
        if self._plan is not None:
            self._plan.close()
        self._plan, self._stamp = plan, stamp

    async def _planning(self) -> None:
        """Plan again and again; of all workers of a file, one does it."""
        while True:
            with contextlib.suppress(JournalError):
                if await self._queue.may_plan(self._file, self._pace.every):
                    await self.distribute()
            await asyncio.sleep(min(self._pace.every / 10, 60.0))

    async def distribute(self) -> int:
        """Plan, and queue each key about which something is to be done, is unclear or has failed.

        Returns:
            How many were queued.

        """
        plan = await disk.in_thread(partial(read, self._file))
        try:
            for account in plan.accounts:
                await plan_of(plan, self._clients[account], account, self._settings)
            failing = await self._queue.failing()
            wanted = (Which.of(step.declared) for step in plan.steps())
            return await self._queue.put(chain(wanted, failing))
        except AgentKeysError as error:
            logger.warning("nothing was planned: %s", error)
            return 0
        finally:
            plan.close()

    async def _giving_back(self) -> None:
        while True:
            with contextlib.suppress(JournalError):
                await self._queue.give_back(self._pace.stale)
            await asyncio.sleep(self._pace.stale / 2)


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
            return RetryDecision(retry_in={"seconds": _BUSY_FOR}) if job.attempts < _MOST else None
        if not isinstance(exception, AgentKeysError) or job.attempts + 1 >= self._tries:
            return None
        asked = exception.retry_after if isinstance(exception, RateLimitError) else None
        return RetryDecision(retry_in={"seconds": round(asked or min(2**job.attempts, 300))})


def _stamp(file: str) -> tuple[int, int]:
    found = Path(file).stat()
    return found.st_mtime_ns, found.st_size
