"""The tables, and how a database gets them: numbered steps, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    select,
    text,
)

from agentkeys.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["MIGRATIONS", "SCHEMA", "entries", "migrate"]

SCHEMA: Final = "agentkeys"

_metadata: Final = MetaData(schema=SCHEMA)

entries: Final = Table(
    "entries",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("line", Text, nullable=False),  # as in a file; the other columns say what is in it
    Column("place", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("kept", Boolean, nullable=False),
    Column("noted", DateTime(timezone=True), nullable=False),
    Column("owner", Text),
    Column("until", DateTime(timezone=True)),
    Column("epoch", BigInteger, nullable=False),
)
_versions: Final = Table("version", _metadata, Column("number", Integer, nullable=False))

MIGRATIONS: Final = (
    """
    CREATE TABLE agentkeys.version (number integer NOT NULL);
    INSERT INTO agentkeys.version VALUES (0);
    CREATE TABLE agentkeys.entries (
        id text PRIMARY KEY,
        line text NOT NULL,
        place text NOT NULL,
        state text NOT NULL,
        kept boolean NOT NULL,
        noted timestamptz NOT NULL,
        owner text,
        until timestamptz,
        epoch bigint NOT NULL
    );
    CREATE INDEX entries_place ON agentkeys.entries USING hash (place);
    CREATE INDEX entries_under_way ON agentkeys.entries (id) WHERE NOT kept;
    """,
)
"""What is done to a database of each number, one step after the other, to bring it to the next."""

_IS_THERE: Final = text(
    "SELECT count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"
    " ON n.oid = c.relnamespace WHERE n.nspname = 'agentkeys' AND c.relname = 'version'"
)
_LOCK: Final = 0x61676B6579730001  # "agkeys", and which lock of ours it is


def migrate(connection: Connection) -> None:
    """Bring a database to the newest number, unless it is there.

    Raises:
        ConfigurationError: it is newer than this version of agentkeys.

    """
    if _number(connection) == len(MIGRATIONS):
        return
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    number = _number(connection)
    if number > len(MIGRATIONS):
        raise ConfigurationError(
            f"the journal in this database is of version {number}, and this agentkeys knows up to"
            f" {len(MIGRATIONS)}: upgrade agentkeys on this machine"
        )
    if number == 0:
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    for step in MIGRATIONS[number:]:
        connection.execute(text(step))
    connection.execute(_versions.update().values(number=len(MIGRATIONS)))


def _number(connection: Connection) -> int:
    """Return the number of a database; 0 if it has no tables of ours."""
    # Not by `to_regclass`: it may remember that there was none before the lock was waited for.
    if not connection.scalar(_IS_THERE):
        return 0
    return connection.scalar(select(_versions.c.number)) or 0
