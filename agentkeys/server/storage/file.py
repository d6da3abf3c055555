"""The file of a database, and whether it may be opened. Nothing here changes a file."""

from __future__ import annotations

import os
import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from agentkeys.errors import ConfigurationError
from agentkeys.server.storage import schema
from agentkeys.server.storage.ownership import check_owned

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY_SECONDS: Final = 30.0
"""Seconds to wait for another process that is writing."""

_SCHEME: Final = "sqlite:///"
_IN_MEMORY: Final = ("sqlite://", _SCHEME, "sqlite:///:memory:")
_EXAMPLE: Final = "use sqlite:///PATH, for instance sqlite:///keys.db"
_HEADER: Final = struct.Struct(">16s44xI4xI28x")
_MAGIC: Final = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Marks:
    """The identification of a SQLite database; all zero in an empty one."""

    application_id: int
    version: int
    tables: int


def file_of(database: object) -> Path | None:
    """Return the file of *database*, or None for a database in memory.

    Raises:
        ConfigurationError: *database* is neither None nor ``sqlite:///PATH``, or PATH has a ``?``.
    """
    if database is None or database in _IN_MEMORY:
        return None
    # The text itself is not shown: the address of another database may hold a password.
    if not isinstance(database, str) or not database.startswith(_SCHEME) or "?" in database:
        raise ConfigurationError(f"the local service keeps its data in SQLite: {_EXAMPLE}")
    # Used literally: some versions of SQLAlchemy decode percent signs.
    return Path(database.removeprefix(_SCHEME)).absolute()


def prepare(file: Path) -> None:
    """Create *file*, empty and private, if it does not exist; else check that it can be used.

    Raises:
        ConfigurationError: it cannot be created, read or written, is damaged, is not a database of
            this version of agentkeys, or is not this user's alone.
    """
    try:
        check_owned(file)
        # The mode is set at the creation, so that others can never read it.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        _examine(file)
    except (OSError, ValueError) as error:
        raise ConfigurationError(cannot("create", file, error)) from None


def marks_of(scalar: Callable[[str], int]) -> Marks:
    """Return a database's marks; *scalar* runs a statement and returns its one number."""
    return Marks(
        application_id=scalar("PRAGMA application_id"),
        version=scalar("PRAGMA user_version"),
        tables=scalar("SELECT count(*) FROM sqlite_master"),
    )


def judge(file: Path | None, marks: Marks) -> None:
    """Check that this version can use a database with these marks.

    Raises:
        ConfigurationError: it cannot.
    """
    if marks.application_id != schema.APPLICATION_ID and (marks.application_id or marks.tables):
        raise ConfigurationError(f"{file} belongs to another program: choose another file")
    if marks.version > schema.VERSION:
        raise ConfigurationError(
            f"{file} was made by a newer version of agentkeys (its schema is {marks.version},"
            f" this version supports {schema.VERSION}): upgrade agentkeys, or choose another file"
        )


def _examine(file: Path) -> None:
    try:
        # Opening and closing a file releases the locks that SQLite holds on it in this process. If
        # there are any, there is a log, and then SQLite leaves no new file either.
        if not file.with_name(f"{file.name}-wal").exists():
            _examine_header(file)
        if file.stat().st_size:
            _examine_content(file)
    except sqlite3.OperationalError as error:
        raise ConfigurationError(cannot("open", file, error)) from None
    except sqlite3.DatabaseError:
        raise ConfigurationError(_damaged(file)) from None
    except OSError as error:
        raise ConfigurationError(cannot("open", file, error)) from None


def _examine_header(file: Path) -> None:
    # For writing too: SQLite itself would silently open it read-only.
    with open(file, "r+b", opener=_without_following) as opened:
        header = opened.read(_HEADER.size)
    if not header:
        return
    # Read without SQLite first, which would leave files beside it even for reading.
    if len(header) < _HEADER.size or not header.startswith(_MAGIC):
        raise ConfigurationError(_damaged(file))
    _, version, application_id = _HEADER.unpack(header)
    judge(file, Marks(application_id, version, tables=0))


def _without_following(name: str, flags: int) -> int:
    # It was checked a moment ago; a link or a pipe that replaced it is not followed or waited for.
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _examine_content(file: Path) -> None:
    # The name as the system's bytes, which need not be text.
    address = f"file:{quote(os.fsencode(file))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)
    try:
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise ConfigurationError(_damaged(file))
        judge(file, marks_of(lambda statement: int(connection.execute(statement).fetchone()[0])))
    finally:
        connection.close()


def _damaged(file: Path) -> str:
    return f"{file} is damaged, or is not a database: restore it, or choose another file"


def cannot(verb: str, file: Path | None, error: BaseException | None) -> str:
    """Return a sentence that the database cannot be created or opened, and why."""
    reason = getattr(error, "strerror", None) or error
    return (
        f"cannot {verb} the database {file}: {reason}"
        " (the file and its folder must be readable and writable)"
    )
