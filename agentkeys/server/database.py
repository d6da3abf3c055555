"""The database: one held connection, worked by one thread, one transaction for each job."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from agentkeys.errors import ConfigurationError
from agentkeys.server.database_file import BUSY_SECONDS, prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentkeys.server.used_times import UsedTimes

P = ParamSpec("P")
T = TypeVar("T")

_MILLISECONDS: Final = 1000
_LOCK_PAUSE: Final = 0.01


class Database:
    """Runs jobs, each a plain function that takes a connection, in the database's own thread.

    Args:
        file: where the data lies; None keeps it in memory.
        used: the uses of keys that go with the next commit.
    """

    def __init__(self, file: Path | None, used: UsedTimes) -> None:
        self._file = file
        self._used = used
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentkeys-database")
        self._engine: Engine | None = None
        self._reader: Connection | None = None
        self._writer: Connection | None = None

    async def open(self, initialise: Callable[[Connection], T]) -> T:
        """Open the database and return what the job *initialise* returns.

        Raises:
            ConfigurationError: the file cannot be used; it is left as it is.
        """
        return await self._in_thread(functools.partial(self._open, initialise))

    async def read(
        self, job: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what *job* returns, which only reads."""
        return await self._in_thread(functools.partial(self._read, job, *args, **kwargs))

    async def write(
        self, job: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what *job* returns, once what it wrote is durable."""
        return await self._in_thread(functools.partial(self._write, job, *args, **kwargs))

    async def flush(self) -> None:
        """Write the uses of keys that no commit took along."""
        if self._used:
            await self.write(_nothing)

    async def close(self) -> None:
        """Close the database; what is not written yet is written first."""
        try:
            await self._in_thread(self._close)
        finally:
            self._thread.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self, initialise: Callable[[Connection], T]) -> T:
        if self._file is not None:
            prepare(self._file)
        try:
            self._engine = _engine(self._file)
            self._reader = self._engine.connect()
            self._writer = self._engine.connect().execution_options(begin="BEGIN IMMEDIATE")
            return self._write(initialise)
        except DBAPIError as error:
            reason = error.orig
        self._dispose()
        raise ConfigurationError(f"cannot open the database {self._file}: {reason}")

    def _read(
        self, job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        connection = _opened(self._reader)
        with connection.begin():
            return job(connection, *args, **kwargs)

    def _write(
        self, job: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        connection = _opened(self._writer)
        with connection.begin():
            result = job(connection, *args, **kwargs)
            self._used.write(connection)
        self._used.written()
        return result

    def _close(self) -> None:
        try:
            if self._writer is not None and self._used:
                self._write(_nothing)
        finally:
            self._dispose()

    def _dispose(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._reader = self._writer = None


def _nothing(connection: Connection) -> None:
    del connection


def _opened(connection: Connection | None) -> Connection:
    if connection is None:
        raise ConfigurationError("the local service is closed")
    return connection


def _engine(file: Path | None) -> Engine:
    # One connection of SQLite serves both of SQLAlchemy's, and so sees a database in memory too.
    engine = create_engine(
        URL.create("sqlite", database=None if file is None else str(file)),
        poolclass=StaticPool,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": True},
        hide_parameters=True,
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, record: object) -> None:
    del record
    _use_write_ahead_log(connection)
    # Without FULL, a power cut could take back a key whose creation was answered.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        # Changing the mode does not wait for another process that is doing the same.
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_PAUSE)
        else:
            return


def _begin(connection: Connection) -> None:
    # A plain BEGIN that reads and then writes fails at once if somebody else wrote in between;
    # BEGIN IMMEDIATE waits its turn.
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
