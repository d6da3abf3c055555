"""A database with older tables of Procrastinate gets the newest ones, and is worked on."""

from __future__ import annotations

import psycopg
import pytest
from fleets import worker_of

from agentkeys import Secret
from agentkeys.fleet.engine import Queue, tables
from agentkeys.fleet.engine.tables import SCHEMA

pytestmark = pytest.mark.asyncio

STEPS = tables.steps()
RELEASES = ["00.00.00", "02.05.00", "02.14.01", "03.03.00"]


def install(address: str, release: str) -> None:
    """Make the tables as they were with a release, each migration in a transaction of its own."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(f"SET search_path TO {SCHEMA}")
        connection.execute(tables.OWN)
        for each in STEPS:
            if each.name[:8] <= release:
                connection.execute(each.read_bytes())
                connection.execute("INSERT INTO steps VALUES (%s)", (each.name,))


@pytest.mark.parametrize("release", RELEASES)
async def test_tables_of_any_release_become_the_newest(postgres, database, release):
    """What a release has left is committed, which PostgreSQL treats unlike what is just made."""
    install(database, release)
    async with Queue(Secret(database)):
        pass
    new = postgres.new_database()
    async with Queue(Secret(new)):
        pass
    assert described(database) == described(new)


async def test_workers_run_on_tables_that_were_older(fleet, journal):
    """From before there were heartbeats."""
    install(journal, "02.14.01")
    async with Queue(Secret(journal)) as queue:
        worker = worker_of(fleet, queue)
        assert await worker.distribute() == len(fleet.inboxes)
        await worker.run(once=True)
    assert await fleet.is_as_declared()


async def test_each_release_prepares_before_it_cleans_up():
    """`pre` migrations come before the `post` ones of their release, releases one by one."""
    names = [each.name for each in STEPS]
    phases = [(n[:8], "_post_" in n) for n in names if "_pre_" in n or "_post_" in n]
    assert phases == sorted(phases)
    assert {is_post for _, is_post in phases} == {True, False}
    assert [n[:8] for n in names] == sorted(n[:8] for n in names)


CATALOG = {
    "columns": "SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,"
    " pg_get_expr(adbin, adrelid) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
    " WHERE attnum > 0 AND NOT attisdropped AND relnamespace = %(schema)s::regnamespace",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %(schema)s",
    "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = %(schema)s::regnamespace",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc"
    " WHERE pronamespace = %(schema)s::regnamespace",
    "enums": "SELECT typname, array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_type"
    " JOIN pg_enum ON enumtypid = pg_type.oid"
    " WHERE typnamespace = %(schema)s::regnamespace GROUP BY typname",
    "types": "SELECT typname, typtype FROM pg_type WHERE typnamespace = %(schema)s::regnamespace",
    "triggers": "SELECT tgname, pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger"
    " JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE NOT tgisinternal AND relnamespace = %(schema)s::regnamespace",
    "steps": f"SELECT name FROM {SCHEMA}.steps",  # noqa: S608  # ours
}


def described(address: str) -> dict[str, list[str]]:
    """Return what the catalog knows of the schema, without the order of columns."""
    with psycopg.connect(address) as connection:
        found = {
            name: connection.execute(each, {"schema": SCHEMA}).fetchall()
            for name, each in CATALOG.items()
        }
    assert all(found.values())
    return {name: sorted(map(repr, rows)) for name, rows in found.items()}
