"""The tables of the engine, in a schema of their own, and how a database gets them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from procrastinate.schema import SchemaManager

if TYPE_CHECKING:
    from psycopg import AsyncConnection

__all__ = ["OWN", "SCHEMA", "make", "steps"]

SCHEMA: Final = "agentkeys_fleet"
_LOCK: Final = 0x61676B6579730003  # "agkeys", and which lock of ours it is
_DONE: Final = "INSERT INTO steps VALUES (%s) ON CONFLICT DO NOTHING"
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
    """Make the tables, or bring Procrastinate's to its newest version; one process does each step.

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
            for step in steps():
                await connection.execute(_DONE, (step.name,))
    rows = await connection.execute("SELECT name FROM steps")
    done = {name for (name,) in await rows.fetchall()}
    for step in steps():
        if step.name not in done:
            await _follow(connection, step.name, step.read_bytes())
    if _INDEX_STEP not in done:
        await _follow(connection, _INDEX_STEP, _INDEX.encode())


async def _follow(connection: AsyncConnection, name: str, step: bytes) -> None:
    """Do a migration in a transaction of its own: only the next one may use a new enum value."""
    async with connection.transaction():
        # Another process that does the same step is waited for here.
        noted = await connection.execute(_DONE, (name,))
        if noted.rowcount:
            await connection.execute(step)


def steps() -> list[Path]:
    """Return Procrastinate's migrations, in their order."""
    return sorted(
        (each for each in Path(SchemaManager.get_migrations_path()).glob("*.sql")),
        key=lambda each: [int(n) for n in re.findall(r"\d+", each.name)[:4]],
    )
