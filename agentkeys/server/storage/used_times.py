"""When each Agentry key was last used: kept in memory, shown at once, written at intervals.

A durable write for each request with a key would cost most of the throughput.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, or_, update

from agentkeys.server.storage.schema import agentry_keys

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Another process on the same database may have written a later use.
_WRITE: Final = (
    update(agentry_keys)
    .where(
        agentry_keys.c.sequence == bindparam("key"),
        or_(agentry_keys.c.used_at.is_(None), agentry_keys.c.used_at < bindparam("moment")),
    )
    .values(used_at=bindparam("moment"))
)


class UsedTimes:
    """The uses that are not written yet. Threads that read record them, and the writing one too."""

    def __init__(self) -> None:
        self._unwritten: dict[int, str] = {}
        self._under_way: dict[int, str] = {}
        self._noting = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._unwritten)

    def note(self, key: int, moment: str) -> None:
        """Record that the key with the sequence number *key* was used at *moment*."""
        with self._noting:
            # A clock may be set back, but the last use stays the last.
            self._unwritten[key] = max(moment, self._unwritten.get(key, ""))

    def latest(self, key: int, written: str | None) -> str | None:
        """Return when *key* was last used, given the database's value."""
        noted = self._unwritten.get(key)
        return written if noted is None or (written and written > noted) else noted

    def write(self, connection: Connection) -> None:
        """Write all uses; call `written` after the commit."""
        with self._noting:
            self._under_way = self._unwritten.copy()
        if self._under_way:
            uses = [{"key": key, "moment": moment} for key, moment in self._under_way.items()]
            connection.execute(_WRITE, uses)

    def written(self) -> None:
        """Remove the uses that `write` wrote, which are durable now, but keep later ones."""
        with self._noting:
            for key, moment in self._under_way.items():
                if self._unwritten.get(key) == moment:
                    del self._unwritten[key]
