"""The connection to SQLite: how it is opened, and its guarantees."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event

from agentkeys.server.storage.file import BUSY_SECONDS, prepare
from agentkeys.server.storage.ownership import Files, check_owned

if TYPE_CHECKING:
    from pathlib import Path

_LOCK_PAUSE: Final = 0.01
_LOGGING_NAME: Final = "agentkeys"


@dataclass(frozen=True, slots=True)
class Held:
    """The open connections, for transactions that read and that write.

    A file has an SQLite connection for each, so that readers do not wait for writers; a database in
    memory has one for both.
    """

    reader: Connection
    writer: Connection
    files: Files | None
    exits: contextlib.ExitStack

    @property
    def is_shared(self) -> bool:
        """Whether one thread must do all of the work."""
        return self.files is None

    def close(self) -> None:
        """Close the connections."""
        self.exits.close()


def connect(file: Path | None) -> Held:
    """Open *file*, which is created if it does not exist; None is a database in memory.

    Raises:
        ConfigurationError: it cannot be used; it is not changed.
    """
    if file is not None:
        prepare(file)
    with contextlib.ExitStack() as exits:
        engines = [_engine(file) for _ in range(1 if file is None else 2)]
        for engine in engines:
            exits.callback(engine.dispose)
        writer = exits.enter_context(engines[0].connect())
        writer = writer.execution_options(begin="BEGIN IMMEDIATE")
        reader = exits.enter_context(engines[-1].connect())
        if file is not None:
            # Another process may have created one in the meantime.
            check_owned(file)
        files = None if file is None else Files(file)
        return Held(reader, writer, files, exits.pop_all())


def _engine(file: Path | None) -> Engine:
    # With a static pool, both of SQLAlchemy's connections to memory share one of SQLite's.
    engine = create_engine(
        URL.create("sqlite", database=None if file is None else str(file)),
        poolclass=StaticPool,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False},
        hide_parameters=True,
        logging_name=_LOGGING_NAME,
    )
    # At DEBUG, SQLAlchemy logs the rows it reads: password hashes, and the master secret.
    logging.getLogger(f"sqlalchemy.engine.Engine.{_LOGGING_NAME}").setLevel(logging.WARNING)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, record: object) -> None:
    del record
    _use_write_ahead_log(connection)
    # Without FULL, a power failure could remove a key whose creation was answered.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        # Changing the mode does not wait for another process that does the same.
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_PAUSE)
        else:
            return


def _begin(connection: Connection) -> None:
    # A plain BEGIN that reads and then writes fails at once if another process wrote in between;
    # BEGIN IMMEDIATE waits its turn.
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
