"""The queue: what it says of a database that it cannot use."""

from __future__ import annotations

import psycopg
import pytest
from leaks import shown

from agentkeys import ConfigurationError, JournalError, Secret
from agentkeys.fleet.engine import Queue
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
