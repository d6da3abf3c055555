"""The row of one limit in PostgreSQL: what is asked of it, in one statement each.

The table is unlogged: no commit waits for the disk, and a crash of the server empties the table,
which forgets no more than who left last. The clock is that of the server alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import psycopg

from agentkeys.postgres import BoundedConnection, parts, settings

if TYPE_CHECKING:
    from agentkeys.secret import Secret

__all__ = ["Row", "Seen"]

_LOCK: Final = 0x61676B6579730001  # that of the journal, which makes the schema as well
_MISSING: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)

_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
_SCHEMA: Final = "SELECT 1 FROM pg_namespace WHERE nspname = 'agentkeys'"
_CREATE: Final = """
    CREATE UNLOGGED TABLE IF NOT EXISTS agentkeys.rate_limits (
        name text PRIMARY KEY,
        tat float8 NOT NULL,      -- when the next request is due, on a clock of the limit's own
        stood float8 NOT NULL,    -- how many seconds that clock has stood still, in all pauses
        resumes float8 NOT NULL,  -- when the last pause ends
        granted float8 NOT NULL   -- how many turns the last statement gave
    ) WITH (fillfactor = 10)
"""
_INSERT: Final = f"""
    INSERT INTO agentkeys.rate_limits VALUES (%(name)s, {_NOW}, 0, 0, 0) ON CONFLICT DO NOTHING
"""  # noqa: S608  # no value stands in it
# The same as `agentkeys.rates.schedule.gcra`, for so many turns at once as are within *patience*.
_GRANTED: Final = """
    least(%(count)s::float8, greatest(0, 1 + floor(
        (%(patience)s::float8 + %(ahead)s::float8 - greatest(0, tat - (now - stood)))
        / %(interval)s::float8
    )))
"""
_TAKE: Final = f"""
    UPDATE agentkeys.rate_limits SET
        tat = greatest(tat, now - stood) + %(interval)s::float8 * {_GRANTED}, granted = {_GRANTED}
    FROM (SELECT {_NOW} AS now) AS clock WHERE name = %(name)s
    RETURNING tat, stood, granted, {_NOW}
"""  # noqa: S608  # no value stands in it
# The same as `Schedule.pause`.
_PAUSE: Final = f"""
    UPDATE agentkeys.rate_limits SET
        tat = greatest(tat, now - stood + %(ahead)s::float8),
        stood = stood + greatest(0, %(seconds)s::float8 - greatest(0, resumes - now)),
        resumes = greatest(resumes, now + %(seconds)s::float8),
        granted = 0
    FROM (SELECT {_NOW} AS now) AS clock
    WHERE name = %(name)s AND resumes < now + %(seconds)s::float8
"""  # noqa: S608  # no value stands in it
_LOOK: Final = f"""
    SELECT tat, stood, 0::float8, {_NOW} FROM agentkeys.rate_limits WHERE name = %(name)s
"""  # noqa: S608  # no value stands in it


@attrs.frozen
class Seen:
    """What a statement found, and gave.

    Attributes:
        first: seconds until the first turn that was given, or is the next one to give.
        granted: how many turns were given; they follow each other at even distances.
        stood: how many seconds all pauses of this limit have lasted, with what is left of one.
    """

    first: float
    granted: int
    stood: float


class Row:
    """A connection to the row of one limit, for one thread.

    Args:
        address: that of the database.
        name: what the limit is called.
        interval: seconds between two requests.
        burst: how many requests may leave at once after a silence.

    """

    def __init__(self, address: Secret, name: str, interval: float, burst: int) -> None:
        self._address = address
        self._interval = interval
        self._ahead = (burst - 1) * interval
        self._said = {"name": name, "interval": interval, "ahead": self._ahead}
        self._connection: BoundedConnection | None = None

    def take(self, count: int, patience: float) -> Seen:
        """Take so many turns, but none that is not within *patience*."""
        return self._asked(_TAKE, count=count, patience=patience)

    def look(self) -> Seen:
        """Take nothing."""
        return self._asked(_LOOK)

    def pause(self, seconds: float) -> None:
        """Have nobody's turn come for so many seconds from now."""
        self.look()  # or there may be no row yet
        self._opened().execute(_PAUSE, self._said | {"seconds": seconds})

    def close(self) -> None:
        """Close the connection; the next statement opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _asked(self, statement: str, **said: float) -> Seen:
        while True:
            try:
                found = self._opened().execute(statement, self._said | said).fetchone()
            except _MISSING:
                self._create()
                continue
            if found is not None:
                break
            self._opened().execute(_INSERT, self._said)
        tat, stood, granted, now = found
        first = tat - granted * self._interval - self._ahead + stood - now
        return Seen(first, round(granted), stood)

    def _create(self) -> None:
        connection = self._opened()
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            # A query, for to_regnamespace may answer as it was before the lock was waited for.
            if connection.execute(_SCHEMA).fetchone() is None:
                connection.execute("CREATE SCHEMA agentkeys")
            connection.execute(_CREATE)

    def _opened(self) -> BoundedConnection:
        if self._connection is None:
            ours = settings(parts(self._address, "a rate limit"))
            self._connection = BoundedConnection.connect(
                self._address.reveal(), autocommit=True, **ours
            )
        return self._connection
