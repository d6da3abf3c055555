"""A database, and what its errors mean. No wait for it is without an end."""

from __future__ import annotations

import math
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from agentkeys import forks
from agentkeys.errors import AgentKeysError, JournalError
from agentkeys.lifecycle.journal.postgres.schema import migrate
from agentkeys.postgres import LONGEST, BoundedConnection, parts, place, settings, told
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["Database"]

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds for which a failed statement is repeated, e.g. while the database restarts."""

_FRESH: Final = 1.0
"""Seconds for which a connection that was used is not tried before it is used again."""


class Database:
    """Connections to one database, for any number of threads.

    Args:
        address: as libpq understands it; it is asked for when it is needed first, in a thread.

    """

    def __init__(self, address: Callable[[], Secret]) -> None:
        self.address = address
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._opened: tuple[Engine, str] | None = None
        self._closing: weakref.finalize[..., Database] | None = None
        self._is_migrated = False

    def begin_afresh(self) -> object:
        """Leave the connections to the parent of a forked child."""
        inherited = self._opened
        if self._closing is not None:
            self._closing.detach()
        self._begin()
        return inherited

    def close(self) -> None:
        """Close the connections that nobody uses; it can be used again."""
        if self._opened is not None:
            self._opened[0].dispose()

    def describe(self) -> str:
        """Return where it is, without what may be a secret."""
        with self._lock:
            return self._engine()[1]

    def run(
        self,
        work: Callable[[Connection], T],
        patience: float = PATIENCE,
        *,
        is_atomic: bool = False,
    ) -> T:
        """Return what *work* does; it may be done twice if an answer is lost.

        Args:
            work: what is done with a connection.
            patience: seconds for which it is repeated.
            is_atomic: whether all of it is one transaction; else each statement is one, which takes
                a third of the round trips.

        Raises:
            ConfigurationError: it cannot be used as it is.
            JournalError: it cannot be reached.

        """
        until, pause = time.monotonic() + patience, 0.02
        while True:
            try:
                return self._done(work, is_atomic=is_atomic)
            except AgentKeysError:
                raise
            except (SQLAlchemyError, psycopg.Error) as error:
                kind, reason = _told(error)
            if kind is not JournalError or time.monotonic() + pause > until:
                break
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
        raise kind(f"the journal in {self.describe()} cannot be used: {reason}")

    def _done(self, work: Callable[[Connection], T], *, is_atomic: bool) -> T:
        with self._lock:
            engine, _ = self._engine()
        if not self._is_migrated:
            with engine.begin() as connection:
                migrate(connection)
            self._is_migrated = True
        if is_atomic:
            with engine.begin() as connection:
                return work(connection)
        with engine.connect() as connection:
            return work(connection.execution_options(isolation_level="AUTOCOMMIT"))

    def _engine(self) -> tuple[Engine, str]:
        if self._opened is None:
            address = self.address()
            said = parts(address, "the journal")
            ours = settings(said)
            engine = create_engine(
                "postgresql+psycopg://",
                creator=lambda: BoundedConnection.connect(address.reveal(), **ours),
                pool_size=4,
                max_overflow=4,
                pool_timeout=LONGEST,
                hide_parameters=True,
            )
            event.listen(engine, "checkin", _used)
            event.listen(engine, "checkout", _tried)
            self._opened = engine, place(said)
            self._closing = weakref.finalize(self, engine.dispose)
            self._closing.atexit = False  # the leases are given up first
        return self._opened


def _used(_: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _tried(connection: Any, record: ConnectionPoolEntry, _: object) -> None:
    """See that a connection still works, unless it has just worked; another one takes its place."""
    if time.monotonic() - record.info.get("used", math.inf) < _FRESH:
        return
    try:
        connection.execute("")
        connection.rollback()
    except psycopg.Error:
        raise DisconnectionError from None


def _told(error: SQLAlchemyError | psycopg.Error) -> tuple[type[AgentKeysError], str]:
    """Return what an error means."""
    if isinstance(error, NoConnectionError):
        return JournalError, "no connection was free in time"
    own = error.orig if isinstance(error, DBAPIError) else None
    return told(own or error)
