"""The journal in PostgreSQL: what `contract` promises, by leases instead of locks."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import Text, and_, any_, bindparam, delete, func, select, true, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from agentkeys import threads
from agentkeys.errors import ConfigurationError, JournalError
from agentkeys.lifecycle.journal import ids, lines
from agentkeys.lifecycle.journal.contract import Claimed, LostError, Remembered, Seen
from agentkeys.lifecycle.journal.lines import NotAnEntry
from agentkeys.lifecycle.journal.postgres.database import Database
from agentkeys.lifecycle.journal.postgres.leases import Lease, Leases, is_free
from agentkeys.lifecycle.journal.postgres.schema import SCHEMA, entries
from agentkeys.lifecycle.machine.moments import before, now
from agentkeys.lifecycle.machine.states import Asking, Closed, Denied, Entry, Kept, Replaced
from agentkeys.secret import Secret
from agentkeys.sources import secret_in
from agentkeys.stores import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection, Row

    from agentkeys.keys import Scope

__all__ = ["OwnedRow", "PostgresJournal", "journal_at"]

SECONDS: Final = 30.0
"""How long a lease lasts if the address does not say it."""

_PAGE: Final = 1000
_LEASE: Final = re.compile(r"(?<=[?&])lease=([^&]*)&?")
_AGE: Final = func.extract("epoch", func.clock_timestamp() - entries.c.noted).label("age")
_FOUND: Final = (entries.c.id, entries.c.line, entries.c.kept, entries.c.epoch, _AGE)


class PostgresJournal:
    """Remembers entries as rows of one table, for any number of machines.

    Args:
        address: of the database, as libpq understands it, like ``postgresql://host/database``.
            ``lease=SECONDS`` in its query says how long an entry stays its owner's who is gone.

    """

    def __init__(self, address: Secret | str | Store) -> None:
        if not isinstance(address, Store):
            address = address if isinstance(address, Secret) else Secret(address)
        seconds = SECONDS if isinstance(address, Store) else _seconds(address)
        self._database = Database(partial(_without_the_lease, address))
        self._leases = Leases(self._database, seconds)

    def begin(self, entry: Entry) -> OwnedRow:
        """Remember a new entry; see `Journal.begin`."""
        lease = Lease(ids.new_id(entry.plan.scope), 1, self._leases.owner)
        until = self._leases.asked()
        self._insert(lease.id, entry, owner=lease.owner, until=self._leases.until())
        return self._owned(lease, entry, until)

    def adopt(self, entry: Entry) -> str:
        """Add an entry to the ledger; see `Journal.adopt`."""
        entry_id = ids.fingerprint(entry)
        self.put(entry_id, entry)
        return entry_id

    def put(self, entry_id: str, entry: Entry) -> None:
        """Add an entry of another journal; see `Journal.put`."""
        self._insert(entry_id, entry)

    def _insert(self, entry_id: str, entry: Entry, **ownership: Any) -> None:
        values = {"id": entry_id, "epoch": 1, **_columns(entry), **ownership}
        # If it is there already, this is the second try, and the answer to the first was lost.
        statement = insert(entries).values(values).on_conflict_do_nothing()
        self._database.run(lambda connection: connection.execute(statement))

    def claim(self, is_wanted: Callable[[Scope], bool], near: Scope | None = None) -> Claimed:
        """Take over the entries in wanted scopes whose leases are over; see `Journal.claim`."""
        found, unreadable = self._read(_is_left(near), is_wanted)
        owned = self._taken([each.id for each in found])
        return Claimed(tuple(owned), unreadable)

    def remembered(
        self, is_wanted: Callable[[Scope], bool], near: Scope | None = None
    ) -> Remembered:
        """Return the entries in wanted scopes; see `Journal.remembered`."""
        return Remembered(*self._read(_is_near(near), is_wanted))

    def survey(self) -> Remembered:
        """Return the entries that nobody drives; see `Journal.survey`."""
        return Remembered(*self._read(_is_left(None), lambda _: True))

    def hold(self, entry_id: str) -> OwnedRow | None:
        """Take over an entry of the ledger; see `Journal.hold`."""
        self._leases.settle()
        return next(iter(self._taken([entry_id], is_kept=True)), None)

    def address(self) -> Secret:
        """Return the address of the database, as libpq understands it; a store may be read."""
        return self._database.address()

    def describe(self) -> str:
        """Return where the entries lie."""
        return self._database.describe()

    def way_out(self) -> str:
        """Return how a person removes entries that nothing can finish."""
        return f"delete the rows of {SCHEMA}.entries in {self.describe()} that name it"

    def _read(
        self, condition: Any, is_wanted: Callable[[Scope], bool]
    ) -> tuple[tuple[Seen, ...], tuple[str, ...]]:
        found: list[Seen] = []
        unreadable: list[str] = []
        for each in self._seen(condition):
            if isinstance(each, str):
                unreadable.append(each)
            elif is_wanted(each.entry.plan.scope):
                found.append(each)
        return tuple(found), tuple(unreadable)

    def each(self) -> Iterator[Seen | str]:
        """Yield every entry; see `Journal.each`."""
        return self._seen(true())

    def _seen(self, condition: Any) -> Iterator[Seen | str]:
        """Yield the entries of rows, a page in memory at a time."""
        self._leases.settle()
        page = select(*_FOUND).where(condition).order_by(entries.c.id).limit(_PAGE)
        last, is_more = "", True
        while is_more:
            rows = self._database.run(partial(_all, page.where(entries.c.id > last)))
            is_more = len(rows) == _PAGE
            for row in rows:
                match _entry(row):
                    case Entry() as entry:
                        yield Seen(row.id, entry, self._where(row.id))
                    case NotAnEntry(why):
                        yield (
                            f"{self._where(row.id)} may name a key that is left, but was not used:"
                            f" {why}: see what it is, then delete the row"
                        )
                last = row.id

    def _taken(self, ids: list[str], *, is_kept: bool = False) -> list[OwnedRow]:
        """Take over those of the rows that nobody has taken meanwhile."""
        if not ids:
            return []
        until = self._leases.asked()
        which = and_(
            entries.c.id == any_(bindparam("ids", ids, ARRAY(Text))), entries.c.kept.is_(is_kept)
        )
        statement = (
            update(entries)
            .where(which, is_free())
            .values(owner=self._leases.owner, until=self._leases.until(), epoch=entries.c.epoch + 1)
            .returning(*_FOUND)
        )
        owned: list[OwnedRow] = []
        for row in self._database.run(partial(_all, statement)):
            entry = _entry(row)
            lease = Lease(row.id, row.epoch, self._leases.owner)
            if isinstance(entry, Entry):
                owned.append(self._owned(lease, entry, until))
            else:
                self._leases.add(lease, until)
                self._leases.end(lease)
                raise JournalError(
                    f"{self._where(row.id)} names the key that is kept, but was not used:"
                    f" {entry.why}: see what it is, then delete the row, and adopt the key again"
                )
        return sorted(owned, key=lambda each: each.id)

    def _owned(self, lease: Lease, entry: Entry, until: float) -> OwnedRow:
        self._leases.add(lease, until)
        return OwnedRow(self._database, self._leases, lease, entry)

    def _where(self, entry_id: str) -> str:
        return _where(self._database, entry_id)


class OwnedRow:
    """An entry that this process has a lease of, until it is released."""

    def __init__(self, database: Database, leases: Leases, lease: Lease, entry: Entry) -> None:
        self._database = database
        self._leases = leases
        self._lease = lease
        self._is_released = False
        self.entry = entry

    @property
    def id(self) -> str:
        """The id of the row."""
        return self._lease.id

    def note(self, entry: Entry) -> None:
        """Note how far it has come; see `Owned.note`."""
        if self._is_released:
            raise OSError(errno.EBADF, "it was let go of")
        until = self._leases.asked()
        try:
            is_noted = self._database.run(
                partial(self._noted, entry),
                self._leases.seconds / 2,
                is_atomic=_replaced(entry) is not None,
            )
        except (ConfigurationError, JournalError) as error:
            why = str(error)
        else:
            self._after(entry, until, is_noted=is_noted)
            return
        if not isinstance(self.entry.state, Asking | Denied):
            # The store may hold the secret. One who wrote it and was paused must be able to see
            # that its key was deleted, so nothing is deleted here that is not noted.
            self._leases.end(self._lease)
        raise OSError(errno.EIO, why)

    def _after(self, entry: Entry, until: float, *, is_noted: bool) -> None:
        if self._is_released:
            raise OSError(errno.ECANCELED, "its time was up")
        if is_noted and not isinstance(entry.state, Closed | Kept):
            self._lease.prolong(until)
            return
        self._leases.end(self._lease, and_delete=None)
        if not is_noted:
            raise LostError(f"another process has taken over {self.describe()}")

    def _noted(self, entry: Entry, connection: Connection) -> bool:
        """Change the row if nobody has taken it over; return whether it is as it should be."""
        ours = self._lease.is_ours()
        if isinstance(entry.state, Closed):
            connection.execute(delete(entries).where(ours))
            row = select(func.count()).where(entries.c.id == self.id)
            return connection.scalar(row) == 0
        is_kept = isinstance(entry.state, Kept)  # then nobody needs to own it any more
        ownership = {"owner": None, "until": None} if is_kept else {"until": self._leases.until()}
        values = _columns(entry)
        changed = update(entries).where(ours).values(**values, **ownership)
        if not connection.execute(changed).rowcount:
            return is_kept and self._is_noted(values["line"], connection)
        if (replaced := _replaced(entry)) is not None:
            gone = entries.c.id == replaced.entry
            connection.execute(delete(entries).where(gone))
        return True

    def _is_noted(self, line: str, connection: Connection) -> bool:
        """Whether it was noted before, and only the answer to that was lost."""
        row = select(entries.c.line).where(
            entries.c.id == self.id, entries.c.epoch == self._lease.epoch
        )
        return connection.scalar(row) == line

    def is_held(self) -> bool:
        """Whether nobody else can have taken it over; see `Owned.is_held`."""
        return self._lease.is_held()

    def current(self) -> tuple[Entry | None, bool]:
        """Return what is remembered of it now, and whether a process drives it."""
        statement = select(*_FOUND, is_free().label("free")).where(entries.c.id == self.id)
        for row in self._database.run(partial(_all, statement)):
            entry = _entry(row)
            if isinstance(entry, Entry):
                return entry, not row.free
            raise JournalError(f"{self.describe()} cannot be read: {entry.why}")
        return None, False

    def release(self) -> None:
        """Leave the row to the next sweep: now for this process, and soon for all others."""
        self._is_released = True
        self._leases.end(self._lease)

    def forget(self) -> None:
        """Remove the row, for nothing was begun, and let go of it."""
        self._is_released = True
        self._leases.end(self._lease, and_delete=True)

    def describe(self) -> str:
        """Return which row it is."""
        return _where(self._database, self.id)


def _replaced(entry: Entry) -> Replaced | None:
    """Return what an entry takes the place of in the ledger."""
    return entry.plan.replaces if isinstance(entry.state, Kept) else None


def _where(database: Database, entry_id: str) -> str:
    return f"the row {entry_id} of {SCHEMA}.entries in {database.describe()}"


def _columns(entry: Entry) -> dict[str, Any]:
    """Return what the columns of an entry hold."""
    return {
        "line": lines.dumped(entry).decode(),
        "place": _place(entry.plan.scope),
        "state": type(entry.state).__name__,
        "kept": isinstance(entry.state, Kept),
        "noted": func.clock_timestamp(),
    }


def _place(scope: Scope) -> str:
    """Return what two scopes have in common that are at the same place."""
    return json.dumps([scope.service, scope.realm, scope.kind, scope.id, scope.surface])


def _is_near(scope: Scope | None) -> Any:
    return true() if scope is None else entries.c.place == _place(scope)


def _is_left(near: Scope | None) -> Any:
    return and_(~entries.c.kept, is_free(), _is_near(near))


def _entry(row: Row[Any]) -> Entry | NotAnEntry:
    """Return the entry of a row, its time told by a clock of this machine."""
    match lines.loaded(row.line.encode()):
        case Entry() as entry:
            begun, here = getattr(entry.state, "begun", None), now()
            if begun is None or (begun.boot is not None and begun.boot == here.boot):
                return entry
            # Another machine's clocks tell nothing here. The database knows when it was noted.
            state: Any = entry.state
            return attrs.evolve(
                entry, state=attrs.evolve(state, begun=before(here, float(row.age)))
            )
        case NotAnEntry() as reason:
            return reason
    return NotAnEntry("its line is empty")


def _all(statement: Any, connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(statement).all()


def _seconds(address: Secret) -> float:
    """Return how long a lease lasts by the address."""
    said = [*_LEASE.findall(address.reveal()), str(SECONDS)][0]
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if 1.0 <= seconds <= 3600.0:
        return seconds
    raise ConfigurationError("the lease of a journal is given in seconds, from 1 to 3600")


def _without_the_lease(address: Secret | Store) -> Secret:
    """Return the address as libpq understands it; a store that holds it is read."""
    given = _read(address) if isinstance(address, Store) else address
    return Secret(_LEASE.sub("", given.reveal()).rstrip("?&"))


def _read(store: Store) -> Secret:
    """Read a store in a thread of its own, for a loop may run in this one."""
    import asyncio

    found: list[threads.Outcome[Secret]] = []
    work = partial(asyncio.run, secret_in(store, "address of a journal"))
    thread = threading.Thread(target=lambda: found.append(threads.Outcome.of(work)))
    thread.start()
    thread.join()
    return found[0].result()


_journals: Final[dict[str, PostgresJournal]] = {}
_MOST: Final = 16


def journal_at(address: Secret | Store) -> PostgresJournal:
    """Return the journal of an address: one for all who ask, for it has connections."""
    name = _digest(Secret(address.address) if isinstance(address, Store) else address)
    journal = _journals.get(name)
    if journal is None:
        if len(_journals) >= _MOST:
            _journals.pop(next(iter(_journals)), None)
        journal = _journals.setdefault(name, PostgresJournal(address))
    return journal


def _digest(address: Secret) -> str:
    return hashlib.sha256(address.reveal().encode("utf-8", "surrogatepass")).hexdigest()
