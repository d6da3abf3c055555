"""Workers on several machines make the declared keys: each once, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import math
import signal

import psycopg
import pytest
from fleets import ended, is_done, running, until, worker_of
from procrastinate.jobs import Status

from agentkeys import Secret, issue
from agentkeys.fleet import Declared
from agentkeys.fleet.engine import Queue, Which, Worker
from agentkeys.fleet.engine.queue import QUEUE, TASK
from agentkeys.fleet.engine.tables import SCHEMA
from agentkeys.fleet.pace import Pace
from agentkeys.server.faults import AGENTRY, CREATES, Delay

pytestmark = pytest.mark.asyncio


async def test_a_worker_makes_what_is_declared(fleet, queue):
    """And there is nothing to do afterwards."""
    fleet.declare()
    worker = worker_of(fleet, queue)
    assert await worker.distribute() == len(fleet.inboxes)
    await worker.run(once=True)
    assert await fleet.is_as_declared()
    assert await worker.distribute() == 0
    counts = await queue.counts()
    assert (counts.todo, counts.doing, counts.failed) == (0, 0, 0)


async def test_two_planners_at_once_double_nothing(fleet, queue, journal):
    """One job a key, and one key."""
    fleet.declare()
    async with Queue(Secret(journal)) as other:
        planners = [worker_of(fleet, each) for each in (queue, other)]
        queued = await asyncio.gather(*(each.distribute() for each in planners))
        assert sum(queued) == len(fleet.inboxes)
        await asyncio.gather(*(each.run(once=True) for each in planners))
    assert await fleet.is_as_declared()


async def test_of_several_workers_one_plans(fleet, queue, journal):
    """And not again before the time is over."""
    async with (
        Queue(Secret(journal)) as other,
        queue.turn("a", 60.0) as first,
        other.turn("a", 0.0) as second,
        other.turn("b", 60.0) as of_another_file,
    ):
        assert (first, second, of_another_file) == (True, False, True)
    assert await turns(queue, 60.0, 0.0) == [False, True]


async def turns(queue, *every: float) -> list[bool]:
    """Return whether a worker may plan that does it every so many seconds."""
    found = []
    for seconds in every:
        async with queue.turn("a", seconds) as is_ours:
            found.append(is_ours)
    return found


async def test_a_plan_that_fails_is_no_plan(queue, journal, age):
    """Nor is that of a planner that was killed: soon it is anybody's turn."""
    with pytest.raises(ValueError, match="broken"):
        async with queue.turn("a", 60.0):
            raise ValueError("broken")
    assert await turns(queue, 60.0) == [False]
    assert (await queue.counts()).planned_at is None
    await age("UPDATE plans SET taken = taken - interval '11 seconds'")
    assert await turns(queue, 60.0, 60.0) == [True, False]


async def test_many_make_the_tables_at_once(journal):
    """Each of them can use the queue then."""

    async def count() -> int:
        async with Queue(Secret(journal)) as queue:
            return (await queue.counts()).todo

    assert await asyncio.gather(*(count() for _ in range(5))) == [0] * 5


async def test_a_job_says_which_key_and_nothing_else(fleet, queue):
    """Where its secret goes is what the worker's own file says, and no job."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    worker = worker_of(fleet, queue)
    stranger = Declared("agentry", "stranger", f"file:{fleet.folder}/run/stolen", fleet.inboxes[1])
    assert await queue.put([Which.of(stranger)]) == 1
    await worker.run(once=True)
    assert not (fleet.folder / "run" / "stolen").exists()
    keys = fleet.client.inbox(fleet.inboxes[1]).api_keys
    assert await keys.list().collect() == []
    assert "store" not in json.dumps(Which.of(stranger).data)


async def test_a_key_that_fails_does_not_hold_others_up(fleet, queue):
    """It is shown with its sentence and its tries, until it is as declared."""
    fleet.declare()
    blocked = fleet.folder / "run" / "key-1"
    blocked.mkdir()
    worker = worker_of(fleet, queue, tries=1)
    for tries in (1, 2):
        await worker.distribute()
        await worker.run(once=True)
        [failure] = await queue.failures()
        assert failure.tries == tries
        assert "agent-1" in failure.key
        assert str(blocked) in failure.sentence
    assert await fleet.is_as_declared(1)
    blocked.rmdir()
    await worker.distribute()
    await worker.run(once=True)
    assert await queue.failures() == []
    assert await fleet.is_as_declared()


async def test_an_account_without_a_client_says_so(fleet, queue, caplog):
    """A worker that knows no credentials fails with a sentence, and plans nothing there."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    worker = Worker(str(fleet.file), queue, {}, pace=Pace(tries=1))
    assert await worker.distribute() == 0
    assert "start the worker again" in caplog.text
    await queue.put([fleet.which(0)])
    await worker.run(once=True)
    [failure] = await queue.failures()
    assert "start the worker again" in failure.sentence


async def test_a_row_that_is_added_is_made_by_workers_that_run(fleet, queue):
    """Though another process has planned it, and they read the file when they began."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    worker = worker_of(fleet, queue)
    async with running(worker):
        await until(lambda: is_done(fleet, queue, 1))
        with (fleet.folder / "inboxes.csv").open("a") as rows:
            rows.write(f"{fleet.inboxes[1]},1\n")
        await queue.put([fleet.which(1)])
        await until(lambda: is_done(fleet, queue, 2))


async def test_a_store_that_is_changed_is_the_one_that_is_written_to(fleet, queue):
    """A key that was declared before is read anew as well."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    worker = worker_of(fleet, queue)
    async with running(worker):
        await until(lambda: is_done(fleet, queue, 1))
        fleet.file.write_text(fleet.file.read_text().replace("run/key-", "run/moved-"))
        await queue.put([fleet.which(0)])

        async def has_moved() -> bool:
            return (fleet.folder / "run" / "moved-0").exists()

        await until(has_moved)


async def test_a_mistake_in_the_file_is_said_and_ends_nothing(fleet, queue, age, caplog):
    """The key fails with the sentence; when the file is mended, a plan makes it."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    good = fleet.file.read_text()
    worker = worker_of(fleet, queue, every=1.0, tries=1, stale=1.0)
    async with running(worker):
        await until(lambda: is_done(fleet, queue, 1))
        fleet.declare(inboxes=fleet.inboxes[:2])
        fleet.file.write_text("[keys.each]\nstoer = 1\n")
        await queue.put([fleet.which(1)])

        async def has_failed() -> bool:
            failures = await queue.failures()
            has_planned = "nothing was planned: " in caplog.text
            return has_planned and any("did you mean store" in each.sentence for each in failures)

        await until(has_failed)
        fleet.file.write_text(good)
        await age("UPDATE plans SET taken = taken - interval '1 minute'")
        await until(lambda: is_done(fleet, queue, 2))
    assert await queue.failures() == []


async def test_one_run_does_the_jobs_of_a_dead_worker(fleet, queue, age):
    """A cron job that ends when no job is left must not leave those."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    await queue.put([fleet.which(0)])
    await age(
        "INSERT INTO procrastinate_workers VALUES (DEFAULT, now() - interval '1 minute')",
        "UPDATE procrastinate_jobs SET status = 'doing',"
        " worker_id = (SELECT max(id) FROM procrastinate_workers)",
    )
    await worker_of(fleet, queue).run(once=True)
    assert await is_done(fleet, queue, 1)


async def test_a_job_that_a_worker_does_not_know_of_is_given_back(fleet, queue, age):
    """The answer that gave it the job was lost, or the request that ended it; and it lives on."""
    fleet.declare(inboxes=[])
    which = fleet.which(0)
    async with running(worker_of(fleet, queue, stale=1.0, heartbeat=0.2)):
        await until(lambda: has_planned(queue))
        fleet.declare(inboxes=fleet.inboxes[:1])
        await age(
            "INSERT INTO procrastinate_jobs"
            " (queue_name, task_name, priority, lock, queueing_lock, args, status, worker_id)"
            " VALUES (%s, %s, 0, %s, %s, %s, 'doing', (SELECT max(id) FROM procrastinate_workers))",
            values=[QUEUE, TASK, which.id, which.id, json.dumps(which.data)],
        )
        await until(lambda: is_done(fleet, queue, 1))


async def test_a_job_that_another_worker_has_by_now_is_not_given_back(fleet, queue, age):
    """Two workers may find the same dead one, and the faster one has taken its job."""
    await queue.put([fleet.which(0)])
    await age(
        "INSERT INTO procrastinate_workers VALUES (DEFAULT, now()), (DEFAULT, now())",
        "UPDATE procrastinate_jobs SET status = 'doing',"
        " worker_id = (SELECT min(id) FROM procrastinate_workers)",
    )
    taken = [await queue.taken_by(worker) for worker in range(1, 3)]
    [seen] = [job for jobs in taken for job in jobs.values()]
    await age("UPDATE procrastinate_jobs SET worker_id = worker_id + 1")
    await queue.put_back([seen])
    assert (await queue.counts()).doing == 1
    await age("UPDATE procrastinate_jobs SET worker_id = worker_id - 1")
    await queue.put_back([seen])
    await queue.put_back([seen])
    counts = await queue.counts()
    assert (counts.todo, counts.doing) == (1, 0)


async def test_a_worker_ends_no_job_that_another_one_has_by_now(fleet, queue, age):
    """It was cut off for so long that its job was given back, and comes back with an answer."""
    await queue.put([fleet.which(0)])
    await age("INSERT INTO procrastinate_workers VALUES (DEFAULT, now()), (DEFAULT, now())")
    jobs = queue.app.job_manager
    first = await jobs.fetch_job([QUEUE], 1)
    await queue.put_back([first])
    second = await jobs.fetch_job([QUEUE], 2)
    for status in Status.SUCCEEDED, Status.FAILED, Status.ABORTED:
        await jobs.finish_job(first, status, delete_job=True)
    assert (await queue.counts()).doing == 1
    await jobs.finish_job(second, Status.SUCCEEDED, delete_job=True)
    assert (await queue.counts()).doing == 0


async def test_a_key_that_another_process_works_on_is_tried_later(fleet, queue, age):
    """It counts as no try: a worker that tries each key once does it afterwards."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    await queue.put([fleet.which(0)])
    worker = worker_of(fleet, queue, tries=1)
    creates = fleet.service.faults.add(AGENTRY & CREATES, Delay(math.inf))
    keys = fleet.client.inbox(fleet.inboxes[0]).api_keys
    other = asyncio.create_task(issue(keys, "agent-0", into=fleet.address(0)))
    await creates.wait()
    await worker.run(once=True)
    [job] = await queue.app.job_manager.list_jobs_async()
    assert (job.status, job.attempts) == (Status.TODO.value, 0)
    creates.remove()
    await other
    await age("UPDATE procrastinate_jobs SET scheduled_at = now()")
    await worker.run(once=True)
    assert await is_done(fleet, queue, 1)
    assert await queue.failures() == []


async def test_a_job_that_names_no_key_is_dropped(fleet, queue, age, caplog):
    """A later version may have written it: the worker says so, and goes on."""
    fleet.declare(inboxes=fleet.inboxes[:1])
    await queue.put([fleet.which(0), fleet.which(1)])
    await age("UPDATE procrastinate_jobs SET args = '{}' WHERE mod(id, 2) = 0")
    await worker_of(fleet, queue).run(once=True)
    assert "a job that names no key" in caplog.text
    counts = await queue.counts()
    assert (counts.todo, counts.doing) == (0, 0)


async def has_planned(queue) -> bool:
    counts = await queue.counts()
    return counts.workers > 0 and counts.planned_at is not None


async def test_a_job_of_a_long_queue_costs_what_one_of_a_short_queue_does(queue, journal):
    """The database reads a few pages for it, at once: no time passes until it knows better."""
    many = [named_of_nobody(number) for number in range(4_000)]
    await queue.put(many[:10])
    short = await pages_read(journal)
    assert await queue.put(many) == len(many) - 8
    assert await pages_read(journal) < 2 * short


async def test_a_database_of_an_older_version_gets_what_it_lacks(queue, journal, age):
    """The next process that opens the queue sees to it."""
    del queue
    await age("DROP INDEX agentkeys_jobs_lock", "DELETE FROM steps WHERE name = 'jobs by lock'")
    for _ in range(2):
        async with Queue(Secret(journal)):
            pass
    await age("DROP INDEX agentkeys_jobs_lock")


def named_of_nobody(number: int) -> Which:
    return Which.of(Declared("agentry", f"agent-{number}", "file:x", f"agent{number}@acme.to"))


async def pages_read(journal: str) -> int:
    """Take a job from the queue as a worker does, and return how many pages were read."""
    async with await psycopg.AsyncConnection.connect(journal, autocommit=True) as connection:
        await connection.execute(f"SET search_path TO {SCHEMA}")
        taking = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT procrastinate_fetch_job_v2(%s, %s)"
        for _ in range(2):  # the first one reads the catalogs as well
            cursor = await connection.execute(taking, (["agentkeys"], None))
        [([said],)] = await cursor.fetchall()
    plan = said["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


# In processes of their own, which are killed.


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.5])
async def test_a_worker_that_is_killed_leaves_its_keys_to_another_one(fleet, queue, start, share):
    """Within 15 seconds: exactly the declared keys, each stored, none doubled."""
    fleet.declare()
    assert await ended(start("apply", "--distribute", "--yes")) == 0
    workers = [start("worker", "--jobs", "4", "--every", "2s") for _ in range(2)]

    async def is_under_way() -> bool:
        return (await queue.counts()).doing > 0 and fleet.stored >= share * len(fleet.inboxes)

    await until(is_under_way)
    workers[0].kill()
    await until(lambda: is_done(fleet, queue))
    assert await fleet.is_as_declared()
    assert await queue.failures() == []
    workers[1].send_signal(signal.SIGTERM)
    assert await ended(workers[1]) == 128 + signal.SIGTERM


@pytest.mark.slow
async def test_a_database_that_is_killed_holds_them_up_and_no_more(fleet, postgres, queue, start):
    """The workers go on when it is there again."""
    fleet.declare()
    assert await ended(start("apply", "--distribute", "--yes")) == 0
    start("worker", "--jobs", "2", "--every", "2s")

    async def has_begun() -> bool:
        return fleet.stored > 0

    await until(has_begun)
    postgres.kill()
    postgres.start()
    await until(fleet.is_as_declared, 90.0)
