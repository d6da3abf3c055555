"""Issues and rotations of many keys, beside jobs that do nothing."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from measure import report
from procrastinate.jobs import Job

from agentkeys import Secret
from agentkeys.fleet import manifest
from agentkeys.fleet.engine.queue import Queue, Which
from growth.children import child
from growth.database import Spent, spent, started
from growth.declaring import NOTHING, declare
from growth.making import JOBS
from growth.service import serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from postgres import Postgres

    from growth.children import Child

BATCH: Final = 500
_AT_REST: Final = 1.1
"""Seconds after which the database has counted all that was done."""


@attrs.frozen
class Made:
    """What it took to make keys.

    Attributes:
        keys: how many.
        seconds: on the clock, of the process that ended last.
        clients: seconds of the CPU, of all processes that made them.
        service: the same, of the service.
        database: what the database did meanwhile; None if there is none.
    """

    keys: int
    seconds: float
    clients: float
    service: float
    requests: int = 0
    database: Spent | None = None

    def row(self, what: str) -> tuple[str, str, str]:
        """Return a row of a report."""
        said = [f"{1e3 * self.clients / self.keys:.1f} ms of client"]
        if self.requests:
            said += [
                f"{1e3 * self.service / self.keys:.1f} ms of service",
                f"{self.requests / self.keys:.1f} requests",
            ]
        if self.database is not None:
            database = self.database
            said += [
                f"{1e3 * database.cpu / self.keys:.1f} ms of database",
                f"{database.transactions / self.keys:.1f} transactions",
                f"{database.rows / self.keys:.1f} rows",
                f"{database.wal / self.keys / 1024:.1f} KiB of log",
            ]
        figure = f"{self.keys / self.seconds:,.0f} a second"
        return f"{what}: {self.keys:,}", figure, ", ".join(said)


def run(keys: int, files: int) -> None:
    """Print what issues and rotations cost, each figure for one key."""
    with tempfile.TemporaryDirectory() as name, started(Path(name)) as server:
        rows = [
            *_by_one_process("PostgreSQL", keys, server),
            *_by_one_process("files", files, None),
        ]
        report(f"apply, one process, {JOBS} at once: a key costs", rows)
        rows = [
            row
            for count in (1, 2)
            for row in (_by_workers(count, keys, server), _by_idle(count, keys, server))
        ]
        report(f"workers, {JOBS} at once each: a key, or a job, costs", rows)


def _by_one_process(journal: str, keys: int, server: Postgres | None) -> list[tuple[str, str, str]]:
    database = None if server is None else server.new_database()
    with tempfile.TemporaryDirectory() as name, serving(keys) as (service, url):
        env = {"AGENTKEYS_HOME": f"{name}/home", "AGENTKEYS_JOURNAL": database or "files"}
        with child("apply", name, url, env=env) as process:
            process.hear()
            rows = []
            for do, max_age in {"issue": "3650d", "rotate": "1s"}.items():
                time.sleep(_AT_REST)  # the oldest key is a second old then
                declare(Path(name), keys, store=NOTHING, max_age=max_age)
                assert process.ask() == {do: keys}
                made = _measured(keys, [process], service, server, database)
                rows.append(made.row(f"{do}, journal in {journal}"))
    return rows


def _by_workers(count: int, keys: int, server: Postgres) -> tuple[str, str, str]:
    database = server.new_database()
    with (
        tempfile.TemporaryDirectory() as name,
        serving(keys) as (service, url),
        ExitStack() as stack,
    ):
        declare(Path(name), keys, store=NOTHING)
        declared = manifest.read(Path(name, "agentkeys.toml")).declared()
        assert asyncio.run(queued(database, (Which.of(each) for each in declared))) == keys
        workers = [
            stack.enter_context(child("worker", name, url, env={"AGENTKEYS_JOURNAL": database}))
            for _ in range(count)
        ]
        for each in workers:
            each.hear()
        made = _measured(keys, workers, service, server, database)
        return made.row(f"issue, {_of(count, 'worker')}")


async def queued(database: str, keys: Iterable[Which]) -> int:
    """Queue keys; return how many were queued."""
    async with Queue(Secret(database)) as queue:
        return await queue.put(keys)


def _by_idle(count: int, keys: int, server: Postgres) -> tuple[str, str, str]:
    database = server.new_database()
    asyncio.run(_queued_idle(database, keys))
    with ExitStack() as stack:
        workers = [
            stack.enter_context(child("idle", env={"AGENTKEYS_JOURNAL": database}))
            for _ in range(count)
        ]
        for each in workers:
            each.hear()
        return _measured(keys, workers, None, server, database).row(
            f"no-op, {_of(count, 'worker')}"
        )


async def _queued_idle(database: str, count: int) -> None:
    """Queue as many jobs as there are keys, each with a lock of its own as a key has."""
    async with Queue(Secret(database)) as queue:
        for first in range(0, count, BATCH):
            names = [str(n) for n in range(first, min(first + BATCH, count))]
            await queue.app.job_manager.batch_defer_jobs_async(
                [
                    Job(queue="nothing", task_name="nothing", lock=name, queueing_lock=name)
                    for name in names
                ]
            )
        await queue._counted()  # as `put` does


def _measured(
    keys: int,
    processes: Sequence[Child],
    service: Child | None,
    server: Postgres | None,
    database: str | None,
) -> Made:
    """Have processes go on, and return what it took until all of them are through."""
    before = service.ask(None) if service else None
    at_first = _at_rest(server, database)
    for each in processes:
        each.tell()
    said: list[dict[str, Any]] = [each.hear() for each in processes]
    after = service.ask(None) if service else None
    at_last = _at_rest(server, database)
    assert sum(sum(each["done"].values()) for each in said) == keys, said
    return Made(
        keys=keys,
        seconds=max(each["seconds"] for each in said),
        clients=sum(each["cpu"] for each in said),
        service=after["cpu"] - before["cpu"] if service else 0.0,
        requests=after["requests"] - before["requests"] if service else 0,
        database=at_last - at_first if at_first and at_last else None,
    )


def _at_rest(server: Postgres | None, database: str | None) -> Spent | None:
    if server is None or database is None:
        return None
    time.sleep(_AT_REST)
    return spent(server, database)


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
