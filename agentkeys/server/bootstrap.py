"""What a new database starts with: the tables, a secret, an account, an inbox and a pod."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select

from agentkeys.server import accounts, derived, schema, scopes
from agentkeys.server.clock import iso
from agentkeys.server.database_file import judge, marks_of
from agentkeys.server.passwords import hash_unguessable

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

EMAIL: Final = "owner@agentkeys.local"
INBOX_ID: Final = "demo@agentkeys.local"
POD_ID: Final = "demo"

_MASTER: Final = "master secret"


def initialise(connection: Connection, *, file: Path | None) -> bytes:
    """Return the database's secret; make all that it starts with first, if it is new.

    Raises:
        ConfigurationError: it is not a database that this version can use.
    """
    marks = marks_of(lambda statement: int(connection.exec_driver_sql(statement).scalar_one()))
    judge(file, marks)
    if marks.version == 0:
        _create(connection)
    statement = select(schema.settings.c.value).where(schema.settings.c.name == _MASTER)
    return bytes(connection.execute(statement).scalar_one())


def _create(connection: Connection) -> None:
    master = derived.new_master_secret()
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.settings), {"name": _MASTER, "value": master})
    password_hash = hash_unguessable(derived.bootstrap_password(master))
    accounts.add_account(connection, EMAIL, EMAIL, password_hash, iso(time.time()))
    scopes.add_inbox(connection, INBOX_ID, None)
    scopes.add_pod(connection, POD_ID)
    connection.exec_driver_sql(f"PRAGMA application_id={schema.APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version={schema.VERSION}")
