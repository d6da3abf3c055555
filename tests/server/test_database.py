"""The database's thread: jobs share a transaction, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from agentkeys.errors import ConfigurationError
from agentkeys.server.agentry import scopes
from agentkeys.server.bootstrap import POD_ID, initialise
from agentkeys.server.storage.database import Database
from agentkeys.server.storage.used_times import UsedTimes

pytestmark = pytest.mark.asyncio


class OwnError(Exception):
    """What a job of a test raises."""


@pytest_asyncio.fixture
async def database():
    opened = Database(None, UsedTimes())
    await opened.open(lambda connection: initialise(connection, file=None))
    yield opened
    await opened.close()


def add_and_fail(connection, pod_id):
    scopes.add_pod(connection, pod_id)
    raise OwnError


def pods(connection):
    made = set(connection.exec_driver_sql("SELECT id FROM pods").scalars())
    return made - {POD_ID}  # which every database starts with


async def test_a_job_that_fails_takes_back_its_own_writes_and_no_others(database):
    """Of a hundred jobs in shared transactions every second fails: the others' rows are there."""
    jobs = [
        database.write(add_and_fail if number % 2 else scopes.add_pod, f"pod {number}")
        for number in range(100)
    ]
    ends = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), OwnError] * 50
    assert await database.read(pods) == {f"pod {number}" for number in range(0, 100, 2)}


async def test_jobs_are_done_in_the_order_in_which_they_came(database):
    """A read sees every write that was asked for before it, and none that came after."""
    jobs = []
    for number in range(20):
        jobs += [database.write(scopes.add_pod, f"pod {number}"), database.read(pods)]
    ends = await asyncio.gather(*jobs)
    assert [len(seen) for seen in ends[1::2]] == list(range(1, 21))


async def test_a_caller_who_leaves_does_not_stop_the_others(database):
    """A job whose caller was cancelled is done all the same, and so is the next."""
    leaving = asyncio.ensure_future(database.write(scopes.add_pod, "left"))
    staying = asyncio.ensure_future(database.write(scopes.add_pod, "stayed"))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert await database.read(pods) == {"left", "stayed"}


async def test_a_closed_database_says_so(database):
    """Closing does what was asked for before; after it nothing can be asked."""
    adding = asyncio.ensure_future(database.write(scopes.add_pod, "pod"))
    await asyncio.sleep(0)
    await database.close()
    await adding
    with pytest.raises(ConfigurationError, match="closed"):
        await database.read(pods)
