"""What a new database starts with: the tables, a secret, an account, an inbox and a pod."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select

from agentkeys.server.agentity import rows
from agentkeys.server.agentry import scopes
from agentkeys.server.ground.clock import iso
from agentkeys.server.ground.sealed import opened, sealed
from agentkeys.server.storage import derived, schema
from agentkeys.server.storage.file import judge, marks_of
from agentkeys.server.storage.passwords import hash_unguessable

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from agentkeys.secret import Secret

EMAIL: Final = "owner@agentkeys.local"
INBOX_ID: Final = "demo@agentkeys.local"
POD_ID: Final = "demo"

_MASTER: Final = "master secret"

# Version 1 knew no sessions: each of its refresh tokens becomes one of its own.
_OUT_OF_THE_WAY: Final = (
    "ALTER TABLE refresh_tokens RENAME TO old_tokens",
    "DROP INDEX ix_refresh_tokens_expires_at",
)
_EACH_ITS_SESSION: Final = (
    """INSERT INTO sessions (id, account_id, expires_at)
    SELECT lower(hex(digest)), account_id, expires_at FROM old_tokens""",
    """INSERT INTO refresh_tokens (digest, session_id, expires_at, is_used)
    SELECT digest, lower(hex(digest)), expires_at, 0 FROM old_tokens""",
    "DROP TABLE old_tokens",
)


def initialise(connection: Connection, *, file: Path | None) -> Secret:
    """Return the database's secret, after making what a new or an older one lacks.

    Raises:
        ConfigurationError: it is not a database that this version can use.
    """
    marks = marks_of(lambda statement: int(connection.exec_driver_sql(statement).scalar_one()))
    judge(file, marks)
    if marks.version == 0:
        _create(connection)
    elif marks.version == 1:
        _add_sessions(connection)
    statement = select(schema.settings.c.value).where(schema.settings.c.name == _MASTER)
    return sealed(bytes(connection.execute(statement).scalar_one()))


def _create(connection: Connection) -> None:
    master = derived.new_master_secret()
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.settings), {"name": _MASTER, "value": opened(master)})
    password_hash = hash_unguessable(derived.bootstrap_password(master))
    rows.add_account(connection, EMAIL, EMAIL, password_hash, iso(time.time()))
    scopes.add_inbox(connection, INBOX_ID, None)
    scopes.add_pod(connection, POD_ID)
    connection.exec_driver_sql(f"PRAGMA application_id={schema.APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")


def _add_sessions(connection: Connection) -> None:
    for statement in _OUT_OF_THE_WAY:
        connection.exec_driver_sql(statement)
    schema.metadata.create_all(connection)
    for statement in _EACH_ITS_SESSION:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")
