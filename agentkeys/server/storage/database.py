"""The database: plain functions of an open connection, run in a thread for each connection.

Jobs that arrive at the same time share a transaction, and so one commit; each job writes after its
own savepoint, so that a rejected job does not undo the others.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import operator
import sqlite3
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError

from agentkeys.errors import ConfigurationError
from agentkeys.server.ground.log import logger
from agentkeys.server.storage.file import cannot
from agentkeys.server.storage.sqlite import Held, connect
from agentkeys.server.storage.worker import Job, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from agentkeys.server.storage.used_times import UsedTimes

P = ParamSpec("P")
T = TypeVar("T")


class Database:
    """Runs jobs, plain functions of a connection, in the database's own threads.

    Args:
        file: the file of the data; None keeps it in memory.
        used: the uses of keys, to write with the next commit.
    """

    def __init__(self, file: Path | None, used: UsedTimes) -> None:
        self._file = file
        self._used = used
        self._held: Held | None = None
        self._writer: Worker | None = None
        self._reader: Worker | None = None

    async def open(self, initialise: Callable[[Connection], T]) -> T:
        """Open the database and return the result of *initialise*, which may write.

        Raises:
            ConfigurationError: the file cannot be used; it is not changed.
        """
        try:
            self._held = await asyncio.to_thread(connect, self._file)
            do = functools.partial(_do, self._held, self._used)
            self._writer = Worker(do)
            self._reader = self._writer if self._held.is_shared else Worker(do)
            return await self.write(initialise)
        except DBAPIError as error:
            reason = error.orig
        raise ConfigurationError(cannot("open", self._file, reason))

    async def read(
        self, job: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return the result of *job*, which only reads."""
        return await self._run(_bound(job, *args, **kwargs), writes=False)

    async def write(
        self, job: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return the result of *job* when its changes are durable."""
        return await self._run(_bound(job, *args, **kwargs), writes=True)

    async def flush(self) -> None:
        """Write the uses of keys that no commit has written; if this fails, a later one will."""
        try:
            if self._used:
                await self.write(_nothing)
        except DBAPIError as error:
            reason: object = error.orig
        except ConfigurationError as error:
            reason = error
        else:
            return
        logger.warning("the times of the last uses were not written: %s", reason)

    async def close(self) -> None:
        """Close the database. Without `flush`, the unwritten uses are lost."""
        for worker in {self._writer, self._reader}:
            if worker is not None:
                await worker.stop()
        if self._held is not None:
            await asyncio.to_thread(self._held.close)
        self._writer = self._reader = self._held = None

    async def _run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        worker = self._writer if writes else self._reader
        if worker is None:
            raise ConfigurationError("the local service is closed")
        return await worker.run(work, writes=writes)


def _bound(
    job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> Callable[[Connection], T]:
    return lambda connection: job(connection, *args, **kwargs)


def _nothing(connection: Connection) -> None:
    del connection


def _do(held: Held, used: UsedTimes, batch: Sequence[Job[Any]]) -> Exception | None:
    for writes, group in itertools.groupby(batch, key=operator.attrgetter("writes")):
        jobs = list(group)
        try:
            if writes:
                _write(held.writer, used, jobs)
            else:
                _read(held.reader, jobs)
            if held.files is not None:
                held.files.check()
        # The transaction failed, and with it all jobs in it.
        except Exception as error:  # noqa: BLE001
            for job in jobs:
                job.fail(error)
            if _is_locked(error):
                return error
    return None


def _is_locked(error: Exception) -> bool:
    original = getattr(error, "orig", None)
    return getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _read(connection: Connection, jobs: Sequence[Job[Any]]) -> None:
    with connection.begin():
        for job in jobs:
            job.attempt(connection)


def _write(connection: Connection, used: UsedTimes, jobs: Sequence[Job[Any]]) -> None:
    with connection.begin():
        for job in jobs:
            with connection.begin_nested() as savepoint:
                if not job.attempt(connection):
                    savepoint.rollback()
        used.write(connection)
    used.written()
