"""A database, and what its errors mean. No wait for it is without an end."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from agentkeys import forks
from agentkeys.errors import AgentKeysError, ConfigurationError, JournalError
from agentkeys.lifecycle.journal.postgres.schema import migrate
from agentkeys.lifecycle.machine.wording import shown
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sqlalchemy import Connection, Engine

__all__ = ["Database"]

T = TypeVar("T")

LONGEST: Final = 10.0
"""Seconds for an answer of the database, and for a connection to it."""

PATIENCE: Final = 5.0
"""Seconds for which a failed statement is repeated, e.g. while the database restarts."""

_SETTINGS: Final = {
    "application_name": "agentkeys",
    "connect_timeout": round(LONGEST),
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": round(LONGEST * 1000),
}
_PASSING: Final = re.compile("08|40001|40P01|25006|53|57P|23505|42P06")
"""Codes of what may pass: lost connections, conflicts, a standby, no resources, a shutdown, and
another process that creates the schema at the same time."""

_REFUSALS: Final = (
    (r"authentication failed|no password supplied", "it refused the user or the password"),
    (r"pg_hba\.conf", "its pg_hba.conf does not permit this connection"),
    (r"invalid (port|integer|sslmode|value)", "a value in its address is not permitted"),
    (r"(database|role) .* does not exist", "there is no such database or user"),
)
"""What the server says of who may not connect, in the language that it speaks if not told else."""


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

    def run(self, work: Callable[[Connection], T], patience: float = PATIENCE) -> T:
        """Return what *work* does in a transaction; it may be done twice if an answer is lost.

        Raises:
            ConfigurationError: it cannot be used as it is.
            JournalError: it cannot be reached.

        """
        until, pause = time.monotonic() + patience, 0.02
        while True:
            try:
                return self._transaction(work)
            except AgentKeysError:
                raise
            except (SQLAlchemyError, psycopg.Error) as error:
                kind, reason = _told(error)
            if kind is not JournalError or time.monotonic() + pause > until:
                break
            time.sleep(pause)
            pause = min(2 * pause, 1.0)
        raise kind(f"the journal in {self.describe()} cannot be used: {reason}")

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self._lock:
            engine, _ = self._engine()
        if not self._is_migrated:
            with engine.begin() as connection:
                migrate(connection)
            self._is_migrated = True
        with engine.begin() as connection:
            return work(connection)

    def _engine(self) -> tuple[Engine, str]:
        if self._opened is None:
            address = self.address()
            where, settings = _parts(address)
            engine = create_engine(
                "postgresql+psycopg://",
                creator=lambda: _Bounded.connect(address.reveal(), **settings),
                pool_size=4,
                max_overflow=4,
                pool_timeout=LONGEST,
                pool_pre_ping=True,
                hide_parameters=True,
            )
            self._opened = engine, where
            self._closing = weakref.finalize(self, engine.dispose)
            self._closing.atexit = False  # the leases are given up first
        return self._opened


def _parts(address: Secret) -> tuple[str, dict[str, Any]]:
    """Return where a database is, and the settings of ours that its address does not say."""
    said: dict[str, Any] = {}
    with contextlib.suppress(psycopg.Error):
        said = {**conninfo_to_dict(address.reveal()), "password": None}
    if not said:
        raise ConfigurationError(
            "the address of the journal is not one that PostgreSQL understands: it is like"
            " postgresql://user@host:5432/database, with special characters as %40"
        )
    host = said.get("host") or said.get("hostaddr") or os.environ.get("PGHOST", "")
    port = said.get("port") or os.environ.get("PGPORT", "")
    name = said.get("dbname") or os.environ.get("PGDATABASE", "")
    where = f"postgresql://{host}{':' if port else ''}{port}/{name}"
    ours = {name: value for name, value in _SETTINGS.items() if name not in said}
    # A pooler between us and the database may give each transaction another connection.
    return shown(where), {**ours, "prepare_threshold": None}


def _told(error: SQLAlchemyError | psycopg.Error) -> tuple[type[AgentKeysError], str]:
    """Return what an error means. What it says may hold anything, and is not shown."""
    own = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(own, "sqlstate", None)
    if isinstance(error, NoConnectionError):
        return JournalError, "no connection was free in time"
    if code is None and isinstance(own, psycopg.OperationalError):
        for words, reason in _REFUSALS:
            if re.search(words, str(own)):
                return ConfigurationError, f"{reason}: check the address, and what may connect"
        return JournalError, "it cannot be reached, or did not answer in time"
    if code is not None and _PASSING.match(code):
        return JournalError, f"it does not answer as it should now ({code})"
    if code is not None and code in {"42501", "3F000", "42P01"}:
        return ConfigurationError, (
            f"the user may not do what is needed there ({code}): grant it the rights that the page"
            " Journal of the documentation names"
        )
    return ConfigurationError, f"{type(own).__name__}{f' ({code})' if code else ''}"


class _Bounded(psycopg.Connection[Any]):
    """A connection that is given up if no answer comes."""

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for an answer, as psycopg does, but not for ever."""
        try:
            return super().wait(_limited(gen, LONGEST), *args, **kwargs)
        except TimeoutError:
            pass
        self.close()
        raise psycopg.OperationalError("no answer came in time")


def _limited(waiting: Generator[Any, Any, T], seconds: float) -> Generator[Any, Any, T]:
    """Go on with what waits for a socket, for so many seconds."""
    until = time.monotonic() + seconds
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                raise TimeoutError
            wanted = waiting.send(ready)
    except StopIteration as end:
        value: T = end.value
        return value
