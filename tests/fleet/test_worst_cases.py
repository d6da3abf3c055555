"""Whatever dies or breaks under workers: in the end there are exactly the declared keys.

Each is stored and works, none is lost or doubled, the old ones are gone, and the journal knows.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from fleets import LEASE, ended, is_done, running, until, worker_of
from killed_workers import PROGRAM
from killing import UNKILLED, spread
from programs import Program
from proxies import Proxy

from agentkeys import Secret, status, sweep
from agentkeys.fleet.engine import Queue
from agentkeys.server.faults import AGENTRY, CREATES, Delay

pytestmark = [pytest.mark.asyncio, pytest.mark.long]

KILLS = 50
MANY = int(os.environ.get("AGENTKEYS_TEST_KEYS", "500"))
"""How many keys two workers make, of which one is killed; 10,000 takes some minutes."""


async def to_issue_and_to_rotate(fleet, queue, journal, count: int) -> None:
    """Have every second inbox a key that is too old, and queue all."""
    await add_inboxes(fleet, count)
    fleet.declare(defaults='grace = "0s"', inboxes=fleet.inboxes[::2])
    fleet.service.clock.set(datetime.now(UTC) - timedelta(days=100))
    await queue.put([fleet.which(n) for n in range(0, count, 2)])
    async with Queue(Secret(journal)) as own:
        await worker_of(fleet, own).run(once=True)
    fleet.service.clock.set(datetime.now(UTC))
    fleet.declare(defaults='grace = "0s"')
    await queue.put([fleet.which(n) for n in range(count)])


async def add_inboxes(fleet, count: int) -> None:
    for n in range(len(fleet.inboxes), count):
        fleet.inboxes.append(f"agent{n}@acme.to")
        await fleet.service.add_inbox(fleet.inboxes[n])


async def at_rest(fleet, queue) -> None:
    """Wait for the end, and see that all of them agree: service, stores, queue and journal."""
    await until(lambda: is_done(fleet, queue), 120.0)
    for inbox in fleet.inboxes:
        assert (await sweep(fleet.client.inbox(inbox).api_keys)).unresolved == ()
    assert await fleet.is_as_declared()
    assert await queue.failures() == []
    await the_journal_agrees(fleet)


async def the_journal_agrees(fleet) -> None:
    """See that it knows each key, and has nothing else to do."""
    found = await status()
    assert found.retiring == ()
    # What a create that nobody heard of may still come to, is not there.
    assert {(each.state, each.key_id) for each in found.under_way} <= {("asking", None)}
    listed = [key for n in range(len(fleet.inboxes)) for key in await fleet.keys(n)]
    assert sorted(each.key_id for each in found.kept) == sorted(key.id for key in listed)
    oldest = min(key.created_at for key in listed)
    assert datetime.now(UTC) - oldest < timedelta(days=1), "a key that is too old was not replaced"


@pytest.fixture
def killed(fleet, journal, monkeypatch):
    """Run a worker that is killed at a point; return how many it had, or None."""
    monkeypatch.setenv("AGENTRY_API_KEY", fleet.service.agentry_token)
    monkeypatch.setenv("AGENTRY_BASE_URL", fleet.service.url)
    programs, runs = [], itertools.count()

    async def killed(point: int, *words: str) -> int | None:
        if next(runs) % 4 == 0:  # each has a watchdog
            programs.append(Program(PROGRAM))
        program = programs[-1]
        program.tell(f"{point} {' '.join(words)}")
        said = await asyncio.to_thread(program.read)
        return None if said == "killed" else int(said)

    yield killed
    for each in programs:
        each.kill()


async def test_workers_may_be_killed_anywhere(fleet, queue, journal, killed):
    """At 50 points of what a worker does to the disk, to the service and to the database."""
    words = ["worker", str(fleet.file), "--once", "--jobs", "2"]
    count = len(fleet.inboxes)
    await to_issue_and_to_rotate(fleet, queue, journal, count)
    points = await killed(UNKILLED, *words)
    assert await fleet.is_as_declared()
    await to_issue_and_to_rotate(fleet, queue, journal, count + 2 * KILLS)
    for point in spread(points * 2 // count, KILLS):
        assert await killed(point, *words) is None
    async with running(worker_of(fleet, queue)):
        await at_rest(fleet, queue)


COUNT = 40
QUICKLY = ["--jobs", "2", "--every", "2s"]


async def test_a_database_may_be_killed_again_and_again(fleet, queue, journal, postgres, start):
    """Five times, while two workers run: it holds them up, and no more."""
    await to_issue_and_to_rotate(fleet, queue, journal, COUNT)
    workers = [start("worker", *QUICKLY) for _ in range(2)]
    for share in range(1, 6):

        async def has_come_so_far(share=share) -> bool:
            return len(await fleet.made()) >= share * COUNT // 8

        await until(has_come_so_far)
        postgres.kill()
        postgres.start()
    await at_rest(fleet, queue)
    await all_end(workers)


async def test_a_network_may_be_away_for_longer_than_a_lease(
    fleet, queue, journal, postgres, start
):
    """The worker behind it stops, and does no harm; the other one does its work; both go on."""
    await to_issue_and_to_rotate(fleet, queue, journal, COUNT)
    with Proxy(postgres.port) as proxy:
        address = os.environ["AGENTKEYS_JOURNAL"].replace(str(postgres.port), str(proxy.port))
        creates = fleet.service.faults.add(AGENTRY & CREATES, Delay(math.inf), times="always")
        cut_off = start("worker", *QUICKLY, AGENTKEYS_JOURNAL=address)
        await creates.wait(2, timeout=60.0)  # it is in the middle of two keys
        proxy.break_off()
        cut_at = time.monotonic()
        creates.remove()
        other = start("worker", *QUICKLY)
        await at_rest(fleet, queue)
        assert time.monotonic() - cut_at > LEASE
        proxy.mend()
        await to_issue_and_to_rotate(fleet, queue, journal, COUNT + 10)
        await at_rest(fleet, queue)
        await all_end([cut_off, other])


async def test_planners_at_once_do_not_disturb_workers(fleet, queue, journal, start):
    """Neither two of them, nor one after another while keys are half done."""
    await to_issue_and_to_rotate(fleet, queue, journal, COUNT)
    workers = [start("worker", *QUICKLY) for _ in range(2)]
    for _ in range(3):
        planners = [start("apply", "--distribute", "--yes") for _ in range(2)]
        assert await asyncio.gather(*map(ended, planners)) == [0, 0]
    await at_rest(fleet, queue)
    await all_end(workers)


async def test_many_keys_are_made_though_a_worker_is_killed_half_way(fleet, queue, start):
    """Service, stores and journal agree on each."""
    await add_inboxes(fleet, MANY)
    fleet.declare()
    assert await ended(start("apply", "--distribute", "--yes")) == 0
    workers = [start("worker", "--every", "1h") for _ in range(2)]

    async def is_half_way() -> bool:
        return fleet.stored >= MANY // 2

    async def is_over() -> bool:
        counts = await queue.counts()
        return counts.todo == counts.doing == 0

    await until(is_half_way, 600.0)
    workers[0].kill()
    await until(is_over, 600.0)
    await all_end(workers[1:])
    assert fleet.stored == MANY
    assert await fleet.is_as_declared()
    assert await queue.failures() == []
    await the_journal_agrees(fleet)


async def all_end(workers) -> None:
    """Stop the workers, as an operator does."""
    for each in workers:
        each.send_signal(signal.SIGTERM)
    assert [await ended(each) for each in workers] == [128 + signal.SIGTERM] * len(workers)
