"""What is declared and what is remembered, by place: a table on the disk, and none in memory.

It is a temporary database of SQLite, which goes when it is closed. Rows come in the order of a file
and entries in that of a folder, and are taken out place by place. There is no secret in it.
"""

from __future__ import annotations

import json
import sqlite3
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys.fleet.deciding import Step
from agentkeys.fleet.manifest.declared import Account, Declared
from agentkeys.fleet.manifest.mistakes import MOST, Mistake, failure
from agentkeys.lifecycle.journal import Remembered, Seen
from agentkeys.lifecycle.journal.contract import left
from agentkeys.lifecycle.journal.lines import dumped, loaded
from agentkeys.lifecycle.machine.states import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from agentkeys.fleet.deciding import Do
    from agentkeys.keys import Scope

__all__ = ["Spool"]

_TABLES: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -2048;
CREATE TABLE declared (
    account TEXT, place TEXT, name TEXT, store TEXT UNIQUE, data TEXT,
    PRIMARY KEY (account, place, name)
) WITHOUT ROWID;
CREATE TABLE entries (id TEXT PRIMARY KEY, scope TEXT, place TEXT, line TEXT) WITHOUT ROWID;
CREATE INDEX entries_by_scope ON entries (scope);
CREATE TABLE steps (account TEXT, place TEXT, name TEXT, do TEXT, data TEXT);
CREATE INDEX steps_by_place ON steps (account, place, name);
"""


class Spool:
    """What a plan is made of, and the plan itself, on the disk."""

    def __init__(self) -> None:
        # It is filled in one thread and read in another one, but never by both at once.
        self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._base.executescript(_TABLES)
        self._base.execute("BEGIN")  # or each row would be a transaction of its own
        self.unreadable: tuple[str, ...] = ()

    def close(self) -> None:
        """Remove it."""
        self._base.close()

    def declare(self, found: Iterable[Declared | Mistake]) -> None:
        """Take in the declared keys.

        Raises:
            ManifestError: some of them are mistakes, or are declared twice.

        """
        mistakes: list[Mistake] = []
        for each in found:
            mistake = each if isinstance(each, Mistake) else self._declared(each)
            mistakes += [] if mistake is None else [mistake]
            if len(mistakes) >= MOST:
                break
        if mistakes:
            raise failure(mistakes)

    def _declared(self, declared: Declared) -> Mistake | None:
        """Take in a declared key, unless there is one of its place and name, or of its store."""
        row = [*_where(declared), declared.store, _dumped(declared)]
        if self._execute("INSERT OR IGNORE INTO declared VALUES (?, ?, ?, ?, ?)", *row).rowcount:
            return None
        [(data,), *_] = self._execute(
            "SELECT data FROM declared WHERE (account, place, name) = (?, ?, ?) OR store = ?",
            *row[:4],
        )
        other = _declared_of(json.loads(data))
        is_named_so = (other.place, other.name) == (declared.place, declared.name)
        what = f"a key {declared.name!r} of this place" if is_named_so else "a key of this store"
        file, _, line = declared.where.rpartition(":")
        return Mistake(file, int(line), f"{what} is declared already, at {other.where}")

    def declared(
        self, account: tuple[str, str | None], place: tuple[str, ...], name: str
    ) -> Declared | None:
        """Return a declared key by its account, its place and its name."""
        rows = self._execute(
            "SELECT data FROM declared WHERE (account, place, name) = (?, ?, ?)",
            *[json.dumps(account), json.dumps(place), name],
        )
        return next((_declared_of(json.loads(data)) for (data,) in rows), None)

    def remember(self, found: Iterable[Seen | str]) -> None:
        """Take in what the journal remembers."""
        unreadable = []
        for each in found:
            if isinstance(each, str):
                unreadable.append(each)
            else:
                self._execute(
                    "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
                    *[each.id, _text_of(each.entry.plan.scope), each.where],
                    dumped(each.entry),
                )
        self.unreadable = tuple(unreadable)

    def accounts(self) -> list[Account]:
        """Return whose keys are declared."""
        rows = self._execute("SELECT DISTINCT account FROM declared ORDER BY account")
        return [Account(*json.loads(account)) for (account,) in rows]

    def places(self, account: Account) -> Iterator[list[Declared]]:
        """Yield the declared keys of an account, place by place."""
        rows = self._execute(
            "SELECT place, data FROM declared WHERE account = ? ORDER BY place, name",
            json.dumps(account),
        )
        for _, group in groupby(rows, key=lambda row: row[0]):
            yield [_declared_of(json.loads(data)) for _, data in group]

    def count(self, account: Account) -> int:
        """Return how many places of an account there are."""
        [(count,)] = self._execute(
            "SELECT COUNT(DISTINCT place) FROM declared WHERE account = ?", json.dumps(account)
        )
        return int(count)

    def remembered(self, scope: Scope) -> Remembered:
        """Return what the journal remembers of a place."""
        rows = self._execute("SELECT id, place, line FROM entries WHERE scope = ?", _text_of(scope))
        return Remembered(left(_seen(*row) for row in rows), self.unreadable)

    def add(self, step: Step) -> None:
        """Take in a step."""
        row = [*_where(step.declared), step.do, json.dumps(step.to_dict())]
        self._execute("INSERT INTO steps VALUES (?, ?, ?, ?, ?)", *row)

    def steps(self, account: Account, wanted: Collection[Do]) -> Iterator[Step]:
        """Yield the steps of these kinds about an account, in the order of places and names."""
        for (data,) in self._execute(
            "SELECT data FROM steps WHERE account = ?"
            " AND do IN (SELECT value FROM json_each(?)) ORDER BY place, name",
            json.dumps(account),
            json.dumps([*wanted]),
        ):
            step = json.loads(data)
            yield Step(**{**step, "declared": _declared_of(step["declared"])})

    def counts(self) -> dict[Do, int]:
        """Return how many steps there are of each kind."""
        return dict(self._execute("SELECT do, COUNT(*) FROM steps GROUP BY do").fetchall())

    def _execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._base.execute(statement, values)


def _where(declared: Declared) -> tuple[str, str, str]:
    """Return whose key it is, its place and its name, by which it is found."""
    return json.dumps(declared.account), json.dumps(declared.place), declared.name


def _dumped(declared: Declared) -> str:
    return json.dumps(declared.to_dict())


def _declared_of(data: Any) -> Declared:
    return Declared.of(data)


def _text_of(scope: Scope) -> str:
    """Return a place as text: the same for every account that sees it."""
    return json.dumps(attrs.astuple(attrs.evolve(scope, account="", also=())))


def _seen(entry_id: str, where: str, line: bytes) -> Seen:
    entry = loaded(line)
    assert isinstance(entry, Entry)  # noqa: S101  # it was dumped from one
    return Seen(entry_id, entry, where)
