"""The rows that fill templates: those of a CSV file, or of a query of PostgreSQL."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from agentkeys import filesystem
from agentkeys.errors import ConfigurationError
from agentkeys.fleet.manifest.mistakes import ExpectedError

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Row", "Rows", "is_query", "opened", "path_of", "trusted"]

_SCHEMES: Final = ("postgresql://", "postgres://")
_AT_ONCE: Final = 1000
"""Rows of a query that are fetched together."""


@attrs.frozen
class Row:
    """A row.

    Attributes:
        line: the line of the file that it ends in, or its number.
        values: by the names of the columns; None if the row has more or fewer values than columns.
    """

    line: int
    values: Mapping[str, str] | None


@attrs.frozen
class Rows:
    """All rows of a source, which are read one by one.

    Attributes:
        name: the source, for a sentence.
        columns: the names of the columns.
        each: the rows.
    """

    name: str
    columns: Sequence[str]
    each: Iterator[Row]


@contextmanager
def opened(source: str, folder: str) -> Iterator[Rows]:
    """Open a source of rows: a file below *folder*, or a query.

    Raises:
        ExpectedError: it cannot be read.
        ConfigurationError: what a query needs is not installed.

    """
    if is_query(source):
        with _query(source) as rows:
            yield rows
        return
    with trusted(path_of(source, folder)) as file:
        yield _of_csv(source, file)


def is_query(source: str) -> bool:
    """Whether the rows of a source are those of a query, and not of a file."""
    return source.startswith(_SCHEMES)


def path_of(source: str, folder: str) -> str:
    """Return the path of a file of rows."""
    return os.path.join(folder, source)  # noqa: PTH118


@contextmanager
def trusted(path: str) -> Iterator[TextIO]:
    """Open a file that says which keys there shall be, if nobody else can have written it.

    Raises:
        ExpectedError: another user can have written it, or it cannot be opened.

    """
    try:
        descriptor = filesystem.opened(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        with open(descriptor, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
            _check(path, descriptor)
            yield file
        return
    raise ExpectedError(f"cannot be read: {reason}")


def _check(path: str, descriptor: int) -> None:
    """Refuse a file of another user, and a file that all users can change."""
    if not hasattr(os, "geteuid"):
        return
    status = os.fstat(descriptor)
    if status.st_mode & 0o002:
        raise ExpectedError("may be written by all users: run chmod o-w on it")
    try:
        filesystem.check_planted(filesystem.resolved(os.path.abspath(path)), status)  # noqa: PTH100
    except OSError as error:
        reason = str(error)
    else:
        return
    raise ExpectedError(f"is not trusted: {reason}")


def _of_csv(name: str, file: TextIO) -> Rows:
    reader = csv.reader(file, strict=True)
    try:
        columns = next(reader, [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise _unreadable(error) from None
    if not columns or "" in columns or len(set(columns)) < len(columns):
        raise ExpectedError("must begin with a line of column names, each of them once")

    def each() -> Iterator[Row]:
        try:
            for values in reader:
                if values:
                    is_whole = len(values) == len(columns)
                    row = dict(zip(columns, values, strict=True)) if is_whole else None
                    yield Row(reader.line_num, row)
        except (csv.Error, UnicodeDecodeError) as error:
            raise _unreadable(error) from None

    return Rows(name, columns, each())


def _unreadable(error: Exception) -> ExpectedError:
    why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else f"it is no CSV: {error}"
    return ExpectedError(f"cannot be read: {why}")


@contextmanager
def _query(source: str) -> Iterator[Rows]:
    psycopg = _driver()
    address, query = _divided(source)
    try:
        with psycopg.connect(address) as connection:
            connection.read_only = True
            with connection.cursor("agentkeys") as cursor:
                cursor.itersize = _AT_ONCE
                cursor.execute(query.encode())
                columns = [column.name for column in cursor.description or ()]
                each = (
                    Row(number, {c: _shown(value) for c, value in zip(columns, row, strict=True)})
                    for number, row in enumerate(cursor, 1)
                )
                yield Rows("the query", columns, each)
                return
    except psycopg.Error as error:
        # Not what it says: that may hold values, or the address.
        reason = f"{type(error).__name__} {error.sqlstate or ''}".strip()
    raise ExpectedError(f"failed: {reason}")


def _driver() -> Any:
    try:
        import psycopg
    except ModuleNotFoundError:
        pass
    else:
        return psycopg
    raise ConfigurationError("rows of a query need psycopg: pip install 'agentkeys-sdk[postgres]'")


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _divided(source: str) -> tuple[str, str]:
    """Return the address of the database, and the query."""
    url = urlsplit(source)
    if url.fragment:
        raise ExpectedError("has a # in it: write %23")
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    query = options.pop("query", "")
    if not query:
        raise ExpectedError("must end in ?query=SELECT ...")
    return urlunsplit(url._replace(query=urlencode(options))), query
