"""One limit for all processes, in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import time

import pytest
from aiohttp import web
from busiest import busiest_second
from samples import agentry
from wire import Wire, answer

from agentkeys import ConfigurationError, DeadlineExceededError, InvalidArgumentError, Secret
from agentkeys.rates import NoTurnError
from agentkeys.rates.schedule import LONGEST_PAUSE
from agentkeys.server import LocalService

pytest.importorskip("psycopg")

import psycopg

from agentkeys.rates.postgres import PostgresRateLimit
from agentkeys.rates.row import Row

NONE_FOR_AGES = 0.001
"""Requests a second: the second one is a quarter of an hour away."""
LISTING = answer(200, {"api_keys": []})


@pytest.fixture
def row(database):
    """Give a test the row of a limit of one request in 1,000 seconds."""
    row = Row(Secret(database), "it", 1000.0, 1)
    yield row
    row.close()


def test_turns_follow_each_other_at_even_distances(row):
    """One statement takes any number of them, in a database that had no table before."""
    assert (row.take(1, 0.0).granted, round(row.look().first, -1)) == (1, 1000)
    seen = row.take(3, 1e9)
    assert (seen.granted, round(seen.first, -1)) == (3, 1000)
    assert round(row.look().first, -1) == 4000


def test_no_turn_is_taken_that_nobody_can_wait_for(row):
    """Of five, two are within the time; and then none."""
    row.take(1, 0.0)
    assert row.take(5, 2500.0).granted == 2
    assert row.take(5, 2500.0).granted == 0
    assert round(row.look().first, -1) == 3000


def test_a_burst_is_as_long_as_it_says(database):
    """After a silence so many turns come at once."""
    row = Row(Secret(database), "it", 1000.0, 3)
    seen = row.take(9, 0.0)
    row.close()
    assert (seen.granted, seen.first <= -1990) == (3, True)


def test_a_pause_moves_all_turns_and_pauses_do_not_add_up(row):
    """Those that are taken and those to come; what they say together is the longest of them."""
    before = row.take(2, 1e9)
    row.pause(500.0)
    row.pause(300.0)
    row.pause(500.0)
    after = row.look()
    assert round(after.stood - before.stood, -1) == 500
    assert round(after.first, -1) == 2500


@pytest.mark.asyncio
async def test_several_limiters_share_one_row(database):
    """Each has a connection of its own, as another process has; another name is another limit."""
    one, two = (PostgresRateLimit(NONE_FOR_AGES, database) for _ in range(2))
    await one.take(10)
    with pytest.raises(NoTurnError, match="no turn within 10 s; the next one is in 1000 s"):
        await two.take(10)
    await PostgresRateLimit(NONE_FOR_AGES, database, name="another").take(10)


@pytest.mark.asyncio
async def test_a_retry_after_is_for_all(database):
    """A client gets 429; a client with another connection sends nothing."""
    one, two = (PostgresRateLimit(1000, database) for _ in range(2))
    async with Wire(answer(429, headers={"Retry-After": "61"})) as wire:
        async with agentry(wire.url, rate=one) as client, agentry(wire.url, rate=two) as twin:
            with pytest.raises(Exception, match="429"):
                await client.api_keys.list(timeout=50).collect()
            with pytest.raises(NoTurnError):  # behind the pause, in the same thread
                await one.take(10)
            with pytest.raises(DeadlineExceededError, match=r"the next one is in 6[01]"):
                await twin.api_keys.list(timeout=50).collect()
    assert len(wire.requests) == 1


@pytest.mark.asyncio
async def test_a_pause_is_an_hour_at_most(database):
    """A service that asks for a year does not stop every machine for a year."""
    limit = PostgresRateLimit(1000, database)
    limit.pause(1e9)
    with pytest.raises(NoTurnError, match=f"the next one is in {LONGEST_PAUSE:.0f} s"):
        await limit.take(10)


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", [0, -5, -math.inf, math.nan])
async def test_a_pause_of_no_time_changes_nothing(database, seconds):
    """Neither the burst, nor what is in the row for all processes."""
    limit = PostgresRateLimit(NONE_FOR_AGES, database, burst=3)
    limit.pause(seconds)
    for _ in range(3):
        await limit.take(10)
    with pytest.raises(NoTurnError, match="has no turn"):
        await PostgresRateLimit(NONE_FOR_AGES, database, burst=3).take(10)


@pytest.mark.asyncio
async def test_a_row_that_is_damaged_is_waited_for(database):
    """Somebody repairs it; until then, nobody waits longer than their deadline, or for ever."""
    limit = PostgresRateLimit(1000, database)
    await limit.take(10)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE agentkeys.rate_limits ALTER stood DROP NOT NULL")
        connection.execute("UPDATE agentkeys.rate_limits SET stood = NULL")
        with pytest.raises(NoTurnError, match=r"had no answer of its database .*\(TypeError\)"):
            await limit.take(1)
        waiting = asyncio.create_task(limit.take(math.inf))
        await asyncio.sleep(0)
        connection.execute("UPDATE agentkeys.rate_limits SET stood = 0")
    await asyncio.wait_for(waiting, 10)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_pause_reaches_those_who_wait(database):
    """They look at the row while they wait, and give up when it is clear that it is too long."""
    one, two = (PostgresRateLimit(0.25, database) for _ in range(2))
    await one.take(10)
    waiting = asyncio.create_task(two.take(60))
    await asyncio.sleep(0)
    with pytest.raises(NoTurnError):
        await two.take(5)  # behind the one that waits
    one.pause(600)
    with pytest.raises(NoTurnError, match=r"the next one is in 6\d\d s"):
        await asyncio.wait_for(waiting, 20)


@pytest.mark.asyncio
async def test_a_turn_that_nobody_waits_for_goes_to_the_next_request(database):
    """A call that is cancelled leaves no hole of a quarter of an hour."""
    limit = PostgresRateLimit(NONE_FOR_AGES, database)
    await limit.take(10)
    for _ in range(3):
        waiting = asyncio.create_task(limit.take(1e6))
        await asyncio.sleep(0)
        with pytest.raises(NoTurnError, match="the next one is in 2000 s"):
            await limit.take(10)
        waiting.cancel()
        await asyncio.wait((waiting,))


def test_one_limiter_works_in_any_loop(database):
    """Three runs, one after the other."""
    limit = PostgresRateLimit(1000, database)
    for _ in range(3):
        asyncio.run(limit.take(10))


@pytest.mark.asyncio
async def test_nothing_is_sent_while_the_database_is_away(postgres, database):
    """A call waits within its deadline, and says what it waited for; later calls work."""
    limit = PostgresRateLimit(1000, database)
    async with Wire(LISTING) as wire, agentry(wire.url, rate=limit) as client:
        await client.api_keys.list().collect()
        postgres.stop()
        try:
            with pytest.raises(DeadlineExceededError) as caught:
                await client.api_keys.list(timeout=0.5).collect()
            waiting = asyncio.create_task(client.api_keys.list(timeout=60).collect())
            await asyncio.sleep(0)
        finally:
            await asyncio.to_thread(postgres.start)
        assert await waiting == []
    assert len(wire.requests) == 2
    assert (caught.value.applied, caught.value.attempts) == ("no", 0)
    assert "not sent: the rate limit 'default' had no answer of its database" in str(caught.value)


@pytest.mark.asyncio
async def test_a_crash_of_the_server_forgets_no_more_than_the_last_turns(postgres, database):
    """The table is empty then, and is filled again."""
    limit = PostgresRateLimit(NONE_FOR_AGES, database)
    await limit.take(10)
    postgres.kill()
    await asyncio.to_thread(postgres.start)
    await limit.take(30)
    with pytest.raises(NoTurnError, match="has no turn"):
        await limit.take(10)


@pytest.mark.parametrize("address", ["", "sqlite:///x", "postgresql://u:hunter2@h:no/x?nonsense=1"])
def test_an_address_that_cannot_be_is_refused(address):
    """Before anything is sent, and without showing it."""
    with pytest.raises(ConfigurationError, match="postgresql://user@host") as caught:
        PostgresRateLimit(50, address)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidArgumentError, match="database must be a str"):
        PostgresRateLimit(50, 5)


def test_a_name_that_no_database_keeps_is_refused():
    """PostgreSQL has no NUL character in a text."""
    with pytest.raises(InvalidArgumentError, match="name holds a NUL character"):
        PostgresRateLimit(50, "postgresql://u@h/x", name="a\0b")


def test_the_address_shows_nowhere(database):
    """It may hold a password."""
    limit = PostgresRateLimit(50, database.replace("tests@", "tests:hunter2@"), name="agentry")
    assert repr(limit) == "<PostgresRateLimit 'agentry', 50 a second>"
    assert "hunter2" not in repr(vars(limit))


WORKER = """
import asyncio, sys
from agentkeys import AgentryClient
from agentkeys.rates.postgres import PostgresRateLimit

async def main(url, token, database):
    async with AgentryClient(token, base_url=url, rate=PostgresRateLimit(20, database)) as client:
        async def some():
            for _ in range(4):
                await client.api_keys.list(timeout=120).collect()
        await asyncio.gather(*[some() for _ in range(5)])

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_service_sees_no_more_than_the_rate_of_all_processes(database):
    """Two processes of five tasks, 40 requests at 20 a second: at most 21 in any second.

    The service's clock says so, and the test grants two for what a busy machine delivers late.
    """
    came: list[float] = []

    @web.middleware
    async def note(request, handler):
        came.append(time.monotonic())
        return await handler(request)

    async with LocalService(middlewares=[note]) as service:
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", WORKER]
        command += [service.url, service.agentry_token, database]
        workers = [
            await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE) for _ in range(2)
        ]
        for worker in workers:
            _, errors = await asyncio.wait_for(worker.communicate(), 60)
            assert (worker.returncode, errors) == (0, b"")
    assert len(came) == 40
    assert busiest_second(came) <= 20 + 1 + 2
    assert max(came) - min(came) < 39 / 20 * 3
