"""What a worker's file declares, as the file is now: it is read again when it has changed."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from agentkeys.errors import AgentKeysError
from agentkeys.fleet import manifest
from agentkeys.fleet.spool import Spool
from agentkeys.lifecycle.driving import disk

if TYPE_CHECKING:
    from agentkeys.fleet.engine.queue import Which
    from agentkeys.fleet.manifest.declared import Declared

__all__ = ["Declarations"]

_AGAIN: Final = 5.0
"""Seconds after which a file with mistakes is read again: a query may work by then."""

Stamp = tuple[int, ...] | None


@attrs.frozen(eq=False)
class _Reading:
    """What a file declared at a moment, or why that is not known.

    Attributes:
        began: when it was begun, by the clock that never goes back.
        stamps: what the file and its files of rows looked like then.
        has_queries: whether rows come from elsewhere, too, whose changes nobody sees.
        spool: the declared keys.
        error: why there are none.
    """

    began: float = -math.inf
    stamps: Mapping[str, Stamp] = {}
    has_queries: bool = True
    spool: Spool | None = None
    error: AgentKeysError | None = None

    def find(self, which: Which) -> Declared | None:
        """Return a declared key."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self.spool is None:
            return None
        return self.spool.declared(which.account, which.place, which.name)

    def has_changed(self) -> bool:
        """Whether the files look different now; it waits for the disk."""
        return any(_stamp(path) != stamp for path, stamp in self.stamps.items())

    def close(self) -> None:
        """Remove the declared keys."""
        if self.spool is not None:
            self.spool.close()


class Declarations:
    """The keys that a file declares. Nobody but one event loop uses it.

    Args:
        file: the file.
        every: seconds after which it is read again, though no file has changed.

    """

    def __init__(self, file: str, every: float) -> None:
        self._file = file
        self._every = every
        self._reading = _Reading()
        self._turn = asyncio.Lock()

    async def read(self) -> None:
        """Read the file.

        Raises:
            ManifestError: it has mistakes.

        """
        await self._after(self._reading)
        if self._reading.error is not None:
            raise self._reading.error

    async def find(self, which: Which) -> Declared | None:
        """Return a key as it is declared now, or None if it is not.

        Raises:
            ManifestError: the file has mistakes.

        """
        asked, seen = time.monotonic(), self._reading
        if asked > seen.began + self._lasts(seen) or await disk.in_thread(seen.has_changed):
            await self._after(seen)
        # Whoever queued the key may have seen it in a newer file than this reading.
        while (found := self._reading.find(which)) is None:
            seen = self._reading
            if seen.began >= asked:
                break
            if not seen.has_queries and not await disk.in_thread(seen.has_changed):
                break
            await self._after(seen)
        return found

    def close(self) -> None:
        """Forget what was read."""
        self._reading.close()
        self._reading = _Reading()

    def _lasts(self, reading: _Reading) -> float:
        return self._every if reading.error is None else min(self._every, _AGAIN)

    async def _after(self, seen: _Reading) -> None:
        """Read the file again, unless it was read since that reading."""
        async with self._turn:
            if self._reading is seen:
                reading = partial(_read, self._file)
                self._reading = await disk.in_thread(reading, undo=_Reading.close)
                seen.close()


def _read(file: str) -> _Reading:
    began, stamps, spool = time.monotonic(), {file: _stamp(file)}, Spool()
    has_queries = False
    try:
        found = manifest.read(file)
        has_queries = found.has_queries
        stamps |= {path: _stamp(path) for path in found.files}  # before they are read
        spool.declare(found.declared())
    except AgentKeysError as error:
        spool.close()
        return _Reading(began, stamps, has_queries, error=error.with_traceback(None))
    except BaseException:
        spool.close()
        raise
    return _Reading(began, stamps, has_queries, spool)


def _stamp(path: str) -> Stamp:
    """Return what changes with a file; None if it cannot be seen."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
