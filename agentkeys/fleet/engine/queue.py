"""The queue: which declared keys are to be looked after, and what has failed.

A job says which key is meant, and nothing else. A worker reads what that key is to be from its own
file, so nobody who can write to the database decides where a secret goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, LiteralString, Self, TypeVar

import attrs
import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.manager import JobManager
from psycopg.types.json import Jsonb

from agentkeys.errors import AgentKeysError
from agentkeys.fleet.engine import tables
from agentkeys.fleet.engine.tables import SCHEMA
from agentkeys.masking import mask
from agentkeys.postgres import parts, settings, told
from agentkeys.records import Record
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from agentkeys.fleet.manifest.declared import Declared

__all__ = ["QUEUE", "TASK", "Counts", "Failure", "Queue", "Which"]

T = TypeVar("T")

QUEUE: Final = "agentkeys"
TASK: Final = "agentkeys.key"
_AT_ONCE: Final = 500
_BEGIN: Final = f"SET search_path TO {SCHEMA}; SET synchronous_commit TO off"
"""No job waits for a disk: if the database crashes, the last jobs are done again, or planned again.

What a key has come to is in the journal, which waits."""

_TURN: Final = 10.0
"""Seconds after which another worker may plan, if the one whose turn it is says nothing."""

_TAKE_TURN: Final = """
INSERT INTO plans VALUES (%s, NULL, clock_timestamp() + make_interval(secs => %s))
ON CONFLICT (file) DO UPDATE SET taken = excluded.taken
WHERE plans.taken < clock_timestamp()
    AND (plans.at IS NULL OR plans.at < clock_timestamp() - make_interval(secs => %s))
RETURNING 1
"""
_KEEP_TURN: Final = """
UPDATE plans SET taken = clock_timestamp() + make_interval(secs => %s) WHERE file = %s
"""
_END_TURN: Final = """
UPDATE plans SET at = clock_timestamp(), taken = clock_timestamp() WHERE file = %s
"""
_PUT_BACK: Final = """
UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + %(tries)s,
    scheduled_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE id = %(id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker)s
"""
_END: Final = """
DELETE FROM procrastinate_jobs
WHERE id = %(id)s AND status = 'doing' AND worker_id IS NOT DISTINCT FROM %(worker)s
"""
"""Not by Procrastinate's functions, which go by the id alone: by now another worker may have it."""

_NOTE: Final = """
INSERT INTO failures VALUES (%s, %s, %s, %s, 1)
ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, sentence = excluded.sentence,
    tries = failures.tries + 1, at = clock_timestamp()
"""
_COUNTS: Final = """
SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'),
    (SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'),
    (SELECT count(*) FROM failures),
    (SELECT count(*) FROM procrastinate_workers
     WHERE last_heartbeat > now() - make_interval(secs => %s)),
    (SELECT max(at) FROM plans)
"""


@attrs.frozen
class Which:
    """Which declared key is meant, whatever is declared about it.

    Attributes:
        account: the service, and the profile if the file names one.
        place: the place of the key.
        name: what you call the key.
    """

    account: tuple[str, str | None]
    place: tuple[str, ...]
    name: str

    @classmethod
    def of(cls, declared: Declared) -> Self:
        """Return which key was declared."""
        service, profile = declared.account
        return cls((service, profile), declared.place, declared.name)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Self:
        """Return the key that a job names."""
        service, profile = data["account"]
        return cls((str(service), profile), tuple(map(str, data["place"])), str(data["name"]))

    @property
    def data(self) -> dict[str, Any]:
        """The key as JSON."""
        return {"account": [*self.account], "place": [*self.place], "name": self.name}

    @property
    def id(self) -> str:
        """What the database calls it: of one key there is one job that waits, and one that runs."""
        return hashlib.sha256(json.dumps(self.data, sort_keys=True).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        *_, kind, where = self.place
        return f"{self.name} of {self.account[0]}" + (f", {kind} {where}" if where else "")


@attrs.frozen
class Failure(Record):
    """A key that is not as declared, and why.

    Attributes:
        key: which key, in words.
        kind: the name of the error, or "unclear" if you must decide.
        sentence: why, without secrets.
        tries: how often it was tried since it worked last.
        at: when it failed last.
    """

    key: str
    kind: str
    sentence: str
    tries: int
    at: datetime


@attrs.frozen
class Counts(Record):
    """How far the fleet is.

    Attributes:
        todo: jobs that wait.
        doing: jobs that run.
        failed: keys that are not as declared.
        workers: workers that were alive a moment ago.
        planned_at: when a worker planned last; None if none ever has.
    """

    todo: int
    doing: int
    failed: int
    workers: int
    planned_at: datetime | None = None


class Queue:
    """The jobs in a database. Use it with ``async with``.

    Its methods raise `JournalError` if the database cannot be reached, and `ConfigurationError` if
    it cannot be used as it is.

    Args:
        address: of the database, as libpq understands it.

    """

    def __init__(self, address: Secret) -> None:
        self._connection = _connections(address)
        self._connector = PsycopgConnector(
            connection_class=self._connection, kwargs={}, min_size=1, max_size=8
        )
        self.app = App(connector=self._connector)
        self.app.job_manager = _Jobs(self._connector)

    async def __aenter__(self) -> Self:
        await _answered(self._open())
        return self

    async def _open(self) -> None:
        async with await self._connection.connect() as connection:
            await tables.make(connection)
        await self.app.open_async()

    async def __aexit__(self, *error: object) -> None:
        await self.app.close_async()

    async def put(self, keys: Iterable[Which]) -> int:
        """Queue keys; return how many of them were not waiting already."""
        queued = 0
        for number, some in enumerate(_batches(keys)):
            if number.bit_count() == 1:  # after 1, 2, 4, ... batches
                await _answered(self._counted())
            queued += await _answered(self._put(some))
        if queued:
            await _answered(self._counted())
        return queued

    async def _counted(self) -> None:
        """Have the database know how long the queue is, and keep all of it from now on.

        A database that takes a long queue for a short one sorts all of it for each job.
        """
        async with self._connector.pool.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit TO on")
            await connection.execute("ANALYZE procrastinate_jobs")

    async def _put(self, keys: list[Which]) -> int:
        rows = await self._rows(
            "SELECT queueing_lock FROM procrastinate_jobs"
            " WHERE status = 'todo' AND queueing_lock = ANY(%s)",
            [each.id for each in keys],
        )
        waiting = {lock for (lock,) in rows}
        jobs = [_job(each) for each in keys if each.id not in waiting]
        if not jobs:
            return 0
        try:
            return len(await self.app.job_manager.batch_defer_jobs_async(jobs))
        except AlreadyEnqueued:  # another planner was faster with some of them
            return sum([await self._put_one(each) for each in jobs])

    async def _put_one(self, job: Job) -> int:
        try:
            await self.app.job_manager.batch_defer_jobs_async([job])
        except AlreadyEnqueued:
            return 0
        return 1

    async def give_back(self, seconds: float) -> int:
        """Queue again the jobs of workers that gave no sign of life for so many seconds."""
        find = self.app.job_manager.get_stalled_jobs
        stalled = [*await _answered(find(seconds_since_heartbeat=seconds))]
        await self.put_back(stalled)
        return len(stalled)

    async def taken_by(self, worker: int) -> dict[int, Job]:
        """Return by their ids the jobs that a worker has, as the database sees it."""
        find = self.app.job_manager.list_jobs_async
        jobs = await _answered(find(queue=QUEUE, status=Status.DOING.value, worker_id=worker))
        return {each.id: each for each in jobs if each.id is not None}

    async def put_back(
        self, jobs: Iterable[Job], *, seconds: float = 0.0, tried: bool = False
    ) -> None:
        """Queue jobs again that have begun, if the same workers have them still.

        Args:
            jobs: which.
            seconds: how long they wait, by the clock of the database.
            tried: whether it counts as a try.

        """
        for job in jobs:
            await _answered(self._put_back(job, seconds=seconds, tries=int(tried)))

    async def _put_back(self, job: Job, **values: float) -> None:
        which = {"id": job.id, "worker": job.worker_id}
        try:
            await self._connector.execute_query_async(_PUT_BACK, **which, **values)
        except UniqueViolation:  # its key waits already, for a planner was there
            await self._connector.execute_query_async(_END, **which)

    @asynccontextmanager
    async def turn(self, file: str, every: float) -> AsyncIterator[bool]:
        """Give whether this process plans now: one process does, every so many seconds.

        If it fails, or is killed, it is soon the turn of any process again.
        """
        if not await self._ask(_TAKE_TURN, file, _TURN, every):
            yield False
            return
        keeping = asyncio.create_task(self._keep_turn(file))
        try:
            yield True
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        await self._ask(_END_TURN, file)

    async def _keep_turn(self, file: str) -> None:
        while True:
            await asyncio.sleep(_TURN / 3)
            with contextlib.suppress(AgentKeysError):  # the plan itself fails, or does not
                await self._ask(_KEEP_TURN, _TURN, file)

    async def note(self, which: Which, kind: str, sentence: str) -> None:
        """Note why a key is not as declared."""
        await self._ask(_NOTE, which.id, Jsonb(which.data), kind, mask(sentence))

    async def forget(self, which: Which) -> None:
        """Note that a key is as declared, or is declared no more."""
        await self._ask("DELETE FROM failures WHERE key = %s", which.id)

    async def failing(self) -> list[Which]:
        """Return the keys that are not as declared."""
        rows = await self._ask("SELECT which FROM failures ORDER BY key")
        return [Which.read(which) for (which,) in rows]

    async def failures(self) -> list[Failure]:
        """Return why keys are not as declared, the last ones first."""
        rows = await self._ask(
            "SELECT which, kind, sentence, tries, at FROM failures ORDER BY at DESC"
        )
        return [
            Failure(str(Which.read(which)), kind, sentence, tries, at.astimezone(UTC))
            for which, kind, sentence, tries, at in rows
        ]

    async def counts(self, seconds: float = 5.0) -> Counts:
        """Return how far the fleet is; a worker without a sign of life for *seconds* is dead."""
        [row] = await self._ask(_COUNTS, seconds)
        todo, doing, failed, workers, at = row
        return Counts(todo, doing, failed, workers, None if at is None else at.astimezone(UTC))

    async def _ask(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        return await _answered(self._rows(statement, *values))

    async def _rows(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        async with self._connector.pool.connection() as connection:
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []


class _Jobs(JobManager):
    """Ends a job that is done, for the worker that has it."""

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:  # noqa: ARG002  # its own
        """Take it out of the queue. Of one that failed or was stopped, the worker has seen to that.

        If it could not, the job is one whose end was lost, and is given back as such.
        """
        if status == Status.SUCCEEDED:
            await self.connector.execute_query_async(_END, id=job.id, worker=job.worker_id)


def _job(which: Which) -> Job:
    return Job(
        queue=QUEUE,
        task_name=TASK,
        lock=which.id,
        queueing_lock=which.id,
        task_kwargs=which.data,
    )


def _batches(keys: Iterable[Which]) -> Iterator[list[Which]]:
    each = iter(keys)
    while some := [*islice(each, _AT_ONCE)]:
        yield [*dict.fromkeys(some)]


def _connections(address: Secret) -> type[psycopg.AsyncConnection[Any]]:
    """Return connections to a database, of which nothing but themselves knows the address."""
    ours = {**settings(parts(address, "the journal")), "autocommit": True}

    class Connection(psycopg.AsyncConnection[Any]):
        @classmethod
        async def connect(cls, conninfo: str = "", **more: Any) -> Self:  # noqa: ARG003
            connection = await super().connect(address.reveal(), **{**more, **ours})
            try:
                await connection.execute(_BEGIN.encode())
            except BaseException:  # a listener may be cancelled at once
                await connection.close()
                raise
            return connection

    return Connection


async def _answered(asked: Awaitable[T]) -> T:
    """Return what a database answers; its errors become ours, which show nothing of the address."""
    try:
        return await asked
    except (psycopg.Error, ConnectorException, OSError) as error:
        kind, reason = told(error.__cause__ or error)
    raise kind(f"the queue beside the journal cannot be used: {reason}")
