"""Who owns an entry: a lease in the database, which the owner prolongs while it lives.

The clock of the database alone says when a lease is over. An owner counts from before it asked, by
a clock that goes on while the machine sleeps, and stops earlier by a margin. Each take-over raises
the epoch of the row, and a write that says an older one changes nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import platform
import secrets
import threading
import time
import weakref
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, func, or_, tuple_, update

from agentkeys import forks
from agentkeys.errors import AgentKeysError
from agentkeys.lifecycle.journal.postgres.schema import entries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from agentkeys.lifecycle.journal.postgres.database import Database

__all__ = ["Lease", "Leases", "is_free"]

_BEATS: Final = 4
"""How often a lease is prolonged in the time that it lasts; and its margin is one part of these."""

_AT_EXIT: Final = 2.0  # seconds


def _uptime() -> float:
    """Return seconds, by a clock that nobody sets, and that goes on in suspend if there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def is_free() -> ColumnElement[bool]:
    """Return the condition that nobody owns a row."""
    return or_(entries.c.until.is_(None), entries.c.until <= func.clock_timestamp())


class Lease:
    """The lease of one row.

    Attributes:
        id: of the row.
        epoch: of the row, since this lease began.
        owner: who has it, as the row says.
    """

    def __init__(self, entry_id: str, epoch: int, owner: str) -> None:
        self.id = entry_id
        self.epoch = epoch
        self.owner = owner
        self._until = -math.inf

    def prolong(self, until: float) -> None:
        """Count on it until then."""
        self._until = max(self._until, until)

    def lose(self) -> None:
        """Count on it no more."""
        self._until = -math.inf

    def is_held(self) -> bool:
        """Whether it lasts still, for certain."""
        return _uptime() < self._until

    def is_ours(self) -> ColumnElement[bool]:
        """Return the condition that nobody has taken the row over, and it was not given up."""
        return and_(
            entries.c.id == self.id,
            entries.c.epoch == self.epoch,
            entries.c.owner == self.owner,
        )


class Leases:
    """The leases of this process, and the thread that prolongs them while there are some."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self.seconds = seconds
        self._begin()
        forks.watch(self)
        _watch(self)

    def _begin(self) -> None:
        self.owner = f"{platform.node()}/{os.getpid()}/{secrets.token_hex(4)}"
        self._leases: set[Lease] = set()
        self._ended: list[tuple[Lease, bool]] = []
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._has_ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin_afresh(self) -> object:
        """Leave them to the parent of a forked child, which prolongs them."""
        inherited = self._leases, self._ended, self._lock, self._settling, self._has_ended
        for lease in self._leases:
            lease.lose()
        self._begin()
        return inherited

    def until(self) -> ColumnElement[datetime]:
        """Return when a lease is over that begins now, by the database's clock."""
        return func.clock_timestamp() + func.make_interval(0, 0, 0, 0, 0, 0, self.seconds)

    def asked(self) -> float:
        """Return until when to count on a lease that is asked for now."""
        return _uptime() + self.seconds * (1 - 1 / _BEATS)

    def add(self, lease: Lease, until: float) -> None:
        """Prolong a lease from now on."""
        lease.prolong(until)
        with self._lock:
            self._leases.add(lease)
            self._see_to_a_thread()

    def end(self, lease: Lease, *, and_delete: bool | None = False) -> None:
        """Give a lease up, soon; what is None is left as it is, for nobody owns it any more."""
        with self._lock:
            was_there = lease in self._leases
            self._leases.discard(lease)
            if was_there and and_delete is not None:
                self._ended.append((lease, and_delete))
                self._see_to_a_thread()
        lease.lose()
        self._has_ended.set()

    def settle(self, patience: float | None = None) -> None:
        """Have the database know which leases have ended."""
        with self._settling:
            with self._lock:
                ended, self._ended = self._ended, []
            if ended:
                with contextlib.suppress(AgentKeysError):  # they end by themselves
                    self._database.run(
                        lambda connection: _give_up(connection, ended),
                        self.seconds / _BEATS if patience is None else patience,
                        is_atomic=True,
                    )

    def close(self) -> None:
        """Give up what has ended, at the end of the program."""
        self.settle(_AT_EXIT)
        self._database.close()

    def _see_to_a_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="agentkeys-leases", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no more can be had: the leases end, and their owners stop
                self._thread = None

    def _run(self) -> None:
        while True:
            due = _uptime() + self.seconds / _BEATS
            while (left := due - _uptime()) > 0:
                self._has_ended.wait(left)
                self._has_ended.clear()
                self.settle()
            with self._lock:
                leases = list(self._leases)
                if not (leases or self._ended):
                    self._thread = None
                    return
            with contextlib.suppress(AgentKeysError):
                self._beat(leases)

    def _beat(self, leases: Iterable[Lease]) -> None:
        until = self.asked()
        rows = {(lease.id, lease.epoch): lease for lease in leases}
        statement = (
            update(entries)
            .where(tuple_(entries.c.id, entries.c.epoch).in_(rows), entries.c.owner == self.owner)
            .values(until=self.until())
            .returning(entries.c.id, entries.c.epoch)
        )
        found = self._database.run(
            lambda connection: {(row.id, row.epoch) for row in connection.execute(statement)},
            self.seconds / _BEATS,
        )
        for row, lease in rows.items():
            if row in found:
                lease.prolong(until)
            else:  # somebody has taken it over
                lease.lose()
        with self._lock:
            self._leases.difference_update(rows[row] for row in rows.keys() - found)


def _give_up(connection: Connection, ended: Iterable[tuple[Lease, bool]]) -> None:
    for lease, is_deleted in ended:
        if is_deleted:
            connection.execute(delete(entries).where(lease.is_ours()))
        else:
            free = update(entries).where(lease.is_ours()).values(owner=None, until=None)
            connection.execute(free)


_watched: Final[weakref.WeakSet[Leases]] = weakref.WeakSet()


def _watch(leases: Leases) -> None:
    if not _watched:
        atexit.register(_close_all)
    _watched.add(leases)


def _close_all() -> None:
    for leases in list(_watched):
        leases.close()
