"""The tables of the engine, in a schema of their own, and how a database gets them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from procrastinate.schema import SchemaManager

if TYPE_CHECKING:
    from psycopg import AsyncConnection

__all__ = ["OWN", "SCHEMA", "make"]

SCHEMA: Final = "agentkeys_fleet"
_LOCK: Final = 0x61676B6579730003  # "agkeys", and which lock of ours it is
OWN: Final = """
CREATE TABLE steps (name text PRIMARY KEY);
CREATE TABLE failures (
    key text PRIMARY KEY,
    which jsonb NOT NULL,
    kind text NOT NULL,
    sentence text NOT NULL,
    tries integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE plans (
    file text PRIMARY KEY,
    at timestamptz,             -- when it was planned last
    taken timestamptz NOT NULL  -- until when a worker has its turn
);
"""
_INDEX_STEP: Final = "jobs by lock"
_INDEX: Final = """
CREATE INDEX agentkeys_jobs_lock ON procrastinate_jobs (lock)
WHERE status IN ('todo', 'doing')
"""
"""Procrastinate has (id, lock), of which all is read to find the jobs of a lock: for each job."""


async def make(connection: AsyncConnection) -> None:
    """Make the tables, or bring Procrastinate's to its newest version; of several, one does it.

    Args:
        connection: one whose search path is the schema.

    """
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        # By a query: `to_regclass` may answer as it was before the lock was waited for.
        found = await connection.execute(
            "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'steps'", (SCHEMA,)
        )
        if await found.fetchone() is None:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}".encode())
            await connection.execute(OWN)
            await connection.execute(SchemaManager.get_schema())
            done = set[str]()
        else:
            rows = await connection.execute("SELECT name FROM steps")
            done = {name for (name,) in await rows.fetchall()}
            for step in _steps():
                if step.name not in done:
                    await connection.execute(step.read_bytes())
        if _INDEX_STEP not in done:
            await connection.execute(_INDEX)
        for name in {*(step.name for step in _steps()), _INDEX_STEP} - done:
            await connection.execute("INSERT INTO steps VALUES (%s)", (name,))


def _steps() -> list[Path]:
    """Return Procrastinate's migrations, in their order."""
    return sorted(
        (each for each in Path(SchemaManager.get_migrations_path()).glob("*.sql")),
        key=lambda each: [int(n) for n in re.findall(r"\d+", each.name)[:4]],
    )
