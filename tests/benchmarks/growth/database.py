"""The PostgreSQL of a benchmark, and what it did."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from postgres import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres import Postgres

_DONE: Final = """
SELECT xact_commit + xact_rollback, tup_inserted + tup_updated + tup_deleted, wal_bytes::bigint
FROM pg_stat_database, pg_stat_wal WHERE datname = '{}'
"""


@attrs.frozen
class Spent:
    """What a database has done, or did between two moments.

    Attributes:
        transactions: how many, a statement that is alone counts as one.
        rows: how many were written.
        wal: bytes of the log that a commit waits for.
        cpu: seconds of the CPU, of all its processes.
    """

    transactions: int
    rows: int
    wal: int
    cpu: float

    def __sub__(self, other: Spent) -> Spent:
        pairs = zip(attrs.astuple(self), attrs.astuple(other), strict=True)
        return Spent(*(after - before for after, before in pairs))


def spent(server: Postgres, database: str) -> Spent:
    """Return what a database has done so far."""
    # What a session did is counted when it ends, or a second later.
    name = database.rpartition("/")[2]
    [(transactions, rows, wal)] = server.run(_DONE.format(name))
    return Spent(int(transactions), int(rows), int(wal), cpu_of(server.pid))  # type: ignore[call-overload]


def cpu_of(pid: int) -> float:
    """Return the seconds of a process, of its children, and of those that have ended."""
    own, ended = _seconds(pid)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + ended + sum(_seconds(int(each))[0] for each in children)


def _seconds(pid: int) -> tuple[float, float]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0, 0.0
    user, system, user_ended, system_ended = map(int, fields[11:15])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + system) / tick, (user_ended + system_ended) / tick


@contextmanager
def started(folder: Path) -> Iterator[Postgres]:
    """Run a server that waits for its disk at each commit, as a real one does."""
    where = folder / "postgres"
    where.mkdir()
    with running(where, fsync="on") as server:
        yield server
