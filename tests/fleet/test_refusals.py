"""A server that refuses a password or a machine: the journal, the queue and the rates agree."""

from __future__ import annotations

import logging
import re

import pytest
from leaks import shown

from agentkeys import ConfigurationError, Secret
from agentkeys.errors import AgentKeysError
from agentkeys.fleet.engine import Queue
from agentkeys.lifecycle.journal.postgres import PostgresJournal
from agentkeys.rates.postgres import PostgresRateLimit

pytestmark = pytest.mark.asyncio

PASSWORD = "S3NT1NEL"


@pytest.fixture(scope="module")
def strict(postgres):
    """Two users: one needs a password, one may not connect at all."""
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all locked all scram-sha-256\nhost all barred all reject\n{before}")
    postgres.run("CREATE ROLE locked LOGIN PASSWORD 'another one'")
    postgres.run("CREATE ROLE barred LOGIN")
    postgres.run("SELECT pg_reload_conf()")
    yield postgres
    rules.write_text(before)
    postgres.run("SELECT pg_reload_conf()")
    postgres.run("DROP ROLE locked")
    postgres.run("DROP ROLE barred")


@pytest.mark.parametrize(
    ("user", "sentence"),
    [("locked", "refused the user or the password"), ("barred", r"pg_hba\.conf does not permit")],
)
async def test_who_is_refused_is_told_the_same_by_all(strict, user, sentence, caplog):
    """A ConfigurationError of the journal and of the queue, and a warning of a rate limit."""
    address = Secret(strict.address().replace("tests@", f"{user}:{PASSWORD}@"))
    for error in (await of_the_queue(address), of_the_journal(address)):
        assert isinstance(error, ConfigurationError)
        assert re.search(sentence, str(error))
        assert PASSWORD not in shown(error)
        assert error.__context__ is None
    with caplog.at_level(logging.WARNING), pytest.raises(AgentKeysError, match=sentence) as raised:
        await PostgresRateLimit(1.0, address).take(2.0)
    assert PASSWORD not in shown(raised.value) + caplog.text


async def of_the_queue(address: Secret) -> AgentKeysError:
    with pytest.raises(AgentKeysError) as raised:
        async with Queue(address):
            pass
    return raised.value


def of_the_journal(address: Secret) -> AgentKeysError:
    with pytest.raises(AgentKeysError) as raised:
        PostgresJournal(address).survey()
    return raised.value
