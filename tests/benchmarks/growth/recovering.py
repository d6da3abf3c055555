"""A worker is killed with `kill -9`: how long until another one has made its keys."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from measure import report

from agentkeys.fleet import manifest
from agentkeys.fleet.engine.queue import Which
from agentkeys.fleet.engine.tables import SCHEMA
from growth.applying import queued
from growth.children import child
from growth.database import started
from growth.declaring import FILES, declare
from growth.service import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from postgres import Postgres

_LONGEST: Final = 120.0
_UNDER_WAY: Final = 8
"""How many keys are made, and how many more the worker has taken, when it is killed; of few keys, a
tenth of them."""


def run(keys: int, leases: tuple[int, ...]) -> None:
    """Print how long it took, for each length of a lease."""
    with tempfile.TemporaryDirectory() as name, started(Path(name)) as server:
        rows = [_killed(keys, seconds, server) for seconds in leases]
    report("kill -9 of one of two workers", rows)


def _killed(keys: int, lease: int, server: Postgres) -> tuple[str, str, str]:
    database = server.new_database()
    with (
        tempfile.TemporaryDirectory() as name,
        serving(keys) as (_, url),
        ExitStack() as stack,
    ):
        declare(Path(name), keys, store=FILES)
        declared = manifest.read(Path(name, "agentkeys.toml")).declared()
        asyncio.run(queued(database, map(Which.of, declared)))
        jobs = stack.enter_context(_jobs(database))
        env = {"AGENTKEYS_JOURNAL": f"{database}?lease={lease}"}
        one, two = (stack.enter_context(child("worker_on", name, url, env=env)) for _ in range(2))
        for each in (one, two):
            each.hear()
        one.tell()
        [[worker]] = _until(lambda: _rows(jobs, "SELECT id FROM procrastinate_workers"))
        two.tell()
        few, run = min(_UNDER_WAY, keys // 10), Path(name, "run")
        _until(lambda: len([*run.iterdir()]) >= few and len(_of(jobs, worker)) >= few)
        one.kill()
        killed = time.monotonic()
        its = _of(jobs, worker)
        _until(lambda: not _of(jobs, worker))
        given_back = time.monotonic() - killed
        _until(lambda: not _left(jobs, its))
        made = time.monotonic() - killed
        assert len([*run.iterdir()]) >= len(its)
    return (
        f"lease of {lease} s: {len(its)} keys under way",
        f"{made:.1f} s until made",
        f"{given_back:.1f} s until they were queued again",
    )


def _jobs(database: str) -> psycopg.Connection[Any]:
    return psycopg.connect(database, autocommit=True, options=f"-c search_path={SCHEMA}")


def _of(jobs: psycopg.Connection[Any], worker: int) -> list[int]:
    """Return the jobs that a worker is at, as the database sees it."""
    rows = _rows(
        jobs,
        "SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = %s",
        worker,
    )
    return [number for (number,) in rows]


def _left(jobs: psycopg.Connection[Any], its: list[int]) -> list[Any]:
    return _rows(jobs, "SELECT id FROM procrastinate_jobs WHERE id = ANY(%s)", its)


def _rows(jobs: psycopg.Connection[Any], statement: str, *values: object) -> list[Any]:
    return jobs.execute(statement.encode(), values).fetchall()


def _until(happened: Callable[[], Any]) -> Any:
    """Wait for what processes do soon, and return what shows it."""
    end = time.monotonic() + _LONGEST
    while not (found := happened()):
        if time.monotonic() > end:
            raise SystemExit(f"nothing happened in {_LONGEST:g} s")
        time.sleep(0.02)
    return found
