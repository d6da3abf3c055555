"""The processes that make keys: one that applies a plan, a worker, and a worker of no-op jobs."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procrastinate.manager import JobManager

from agentkeys import AgentryClient
from agentkeys.fleet import apply
from agentkeys.fleet.engine.queue import Queue
from agentkeys.fleet.engine.worker import Worker
from agentkeys.fleet.manifest.declared import Account
from agentkeys.fleet.pace import Pace
from agentkeys.fleet.planning import plan
from agentkeys.lifecycle import remembering
from growth.children import say, told
from growth.service import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

JOBS = 16
"""How many keys, or jobs, a process works on at once."""


async def apply_plans(folder: str, url: str) -> None:
    """Plan the file as it is, and apply the plan, whenever told to."""
    async with AgentryClient(TOKEN, base_url=url) as client:
        say("ready")
        while True:
            await told()
            with await plan(Path(folder, "agentkeys.toml"), client) as planned:
                say(dict(planned.counts))
                await told()

                async def applied() -> dict[str, int]:
                    found = await apply(planned, client, jobs=JOBS)
                    assert not found.failed, found.failed[0].error
                    return {str(do): count for do, count in found.done.items()}

                say(await _measured(applied))


async def work(folder: str, url: str) -> None:
    """Take keys from the queue until no job is left."""
    async with _worker(folder, url) as worker:

        async def worked() -> dict[str, int]:
            await worker.run(once=True)
            return {str(do): count for do, count in worker.done.items()}

        say(await _measured(worked))


async def work_on(folder: str, url: str) -> None:
    """Take keys from the queue until it is killed."""
    async with _worker(folder, url) as worker:
        await worker.run()


@asynccontextmanager
async def _worker(folder: str, url: str) -> AsyncIterator[Worker]:
    async with (
        AgentryClient(TOKEN, base_url=url) as client,
        Queue(remembering.database()) as queue,
    ):
        file = str(Path(folder, "agentkeys.toml"))
        worker = Worker(file, queue, {Account("agentry"): client}, pace=Pace(jobs=JOBS))
        say("ready")
        await told()
        yield worker


async def idle() -> None:
    """Take jobs of Procrastinate's own, which do nothing, until none is left."""
    done = 0

    async def nothing() -> None:
        nonlocal done
        done += 1

    async with Queue(remembering.database()) as queue:
        queue.app.job_manager = JobManager(queue.app.connector)  # Procrastinate's own
        queue.app.task(name="nothing", queue="nothing")(nothing)
        say("ready")
        await told()

        async def worked() -> dict[str, int]:
            await queue.app.run_worker_async(
                queues=["nothing"],
                concurrency=JOBS,
                wait=False,
                install_signal_handlers=False,
                delete_jobs="always",
            )
            return {"nothing": done}

        say(await _measured(worked))


async def _measured(work: Callable[[], Awaitable[dict[str, int]]]) -> dict[str, Any]:
    begun, cpu = time.perf_counter(), time.process_time()
    done = await work()
    return {
        "done": done,
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - cpu,
    }
