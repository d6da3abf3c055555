"""The queue: what it says of a database that it cannot use, and how a database gets its tables."""

from __future__ import annotations

import psycopg
import pytest
from leaks import shown

from agentkeys import ConfigurationError, JournalError, Secret
from agentkeys.fleet.engine import Queue, tables
from agentkeys.fleet.engine.tables import SCHEMA
from agentkeys.rates.postgres import PostgresRateLimit

pytestmark = pytest.mark.asyncio

PASSWORD = "S3NT1NEL"


async def opened(address: str) -> None:
    async with Queue(Secret(address)):
        pass


async def test_what_you_must_change_is_a_configuration_error(postgres):
    """No such database, no right to make a schema there: with what to do, and without a secret."""
    nowhere = postgres.address("nowhere")
    with pytest.raises(ConfigurationError, match="there is no such database or user") as raised:
        await opened(nowhere.replace("@", f":{PASSWORD}@"))
    assert PASSWORD not in shown(raised.value)
    assert raised.value.__context__ is None


async def test_rights_that_lack_are_named(postgres, database):
    """A user who may not create the schema."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
    with pytest.raises(ConfigurationError, match=r"may not do what is needed there \(42501\)"):
        await opened(database.replace("//tests@", "//stranger@"))


async def test_a_database_that_is_away_may_come_back():
    """It is no mistake of yours, so the error is another one."""
    with pytest.raises(JournalError, match="cannot be reached") as raised:
        await opened(f"postgresql://u:{PASSWORD}@127.0.0.1:1/db")
    assert PASSWORD not in shown(raised.value)
    assert raised.value.__context__ is None


@pytest.mark.parametrize("made", [Queue, lambda address: PostgresRateLimit(1.0, address)])
async def test_an_address_that_is_none_is_refused_at_once(made):
    """Nothing is connected to, and what was given is not shown."""
    with pytest.raises(ConfigurationError, match="not one that PostgreSQL understands") as raised:
        made(Secret(f"http://u:{PASSWORD}@host/db"))
    assert PASSWORD not in shown(raised.value)


async def test_an_older_database_gets_the_newest_tables(postgres, database):
    """With all of Procrastinate's migrations, one by one, it is like a new one."""
    async with Queue(Secret(database)) as queue:
        assert (await queue.counts()).todo == 0
    old = postgres.new_database()
    with psycopg.connect(old, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(f"SET search_path TO {SCHEMA}")
        connection.execute(tables.OWN)
    async with Queue(Secret(old)) as queue:
        assert (await queue.counts()).todo == 0
    assert described(old) == described(database)
    async with Queue(Secret(old)):
        pass
    assert described(old) == described(database)


WHAT = {
    "columns": "SELECT table_name, column_name, data_type, udt_name, is_nullable, column_default"
    " FROM information_schema.columns WHERE table_schema = %(schema)s",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %(schema)s",
    "constraints": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = to_regnamespace(%(schema)s)",
    "functions": "SELECT proname, pg_get_function_arguments(oid), prosrc FROM pg_proc"
    " WHERE pronamespace = to_regnamespace(%(schema)s)",
    "types": "SELECT typname, enumlabel FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid"
    " WHERE typnamespace = to_regnamespace(%(schema)s)",
    "triggers": "SELECT tgname, pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger"
    " JOIN pg_class ON pg_class.oid = tgrelid"
    " WHERE NOT tgisinternal AND relnamespace = to_regnamespace(%(schema)s)",
    "steps": "SELECT name FROM agentkeys_fleet.steps",
}


def described(address: str) -> dict[str, list[str]]:
    """Return what the schema has."""
    with psycopg.connect(address) as connection:
        found = {
            name: connection.execute(each, {"schema": SCHEMA}).fetchall()
            for name, each in WHAT.items()
        }
    assert all(found.values())
    return {name: sorted(map(repr, rows)) for name, rows in found.items()}
