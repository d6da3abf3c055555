"""Read entries without taking them over: no file is locked or changed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from agentkeys.filesystem import RefusedError, open_own
from agentkeys.lifecycle.journal import lines, own_files
from agentkeys.lifecycle.journal.contract import Seen
from agentkeys.lifecycle.journal.lines import NotAnEntry, Torn
from agentkeys.lifecycle.machine.states import Entry, Kept, Ousting, Retiring, Writing
from agentkeys.plain import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["KEPT", "each", "in_ledger", "read"]

KEPT: Final = ".key"
"""The ending of the names of the ledger's files."""
_ID: Final = re.compile("[0-9a-f]{16}")

T = TypeVar("T")


def each(folder: Path, ending: str, look: Callable[[Path], T | None]) -> Iterator[T | str | None]:
    """Yield the result of *look* for each file of a folder, or a sentence if it cannot be read."""
    try:
        for path in own_files.names(folder, ending):
            yield _looked_at(path, look)
    except RefusedError as error:
        yield (
            f"{shown(folder)} may name unfinished keys, but was not read: {error}:"
            " run the sweep as its owner, or make it yours alone (chown, chmod)"
        )


def _looked_at(path: Path, look: Callable[[Path], T | None]) -> T | str | None:
    try:
        return look(path)
    except RefusedError as error:
        return (
            f"{shown(path)} may name an unfinished key, but was not read: {error}:"
            " check the file, then delete it"
        )


def in_ledger(ledger: Path, entry_id: str) -> Path:
    """Return the path of an entry in the ledger, whose id comes from another entry.

    Raises:
        RefusedError: *entry_id* is not an id, and may name another path.
    """
    if _ID.fullmatch(entry_id) is None:
        raise RefusedError("it is not an id of an entry")
    return ledger / f"{entry_id}{KEPT}"


def read(path: Path) -> Seen | None:
    """Return the entry of a file, in use or not; None if the file is gone or still empty.

    Raises:
        RefusedError: it is not known whether the file is an entry.
    """
    try:
        descriptor = open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        found = lines.loaded(own_files.read(descriptor))
    except RefusedError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        match found:
            case Torn():
                return None
            case NotAnEntry(why):
                raise RefusedError(why)
        return Seen(path.stem, _as_kept(found) if path.suffix == KEPT else found, shown(path))
    finally:
        os.close(descriptor)
    raise RefusedError(f"it cannot be read: {reason}")


def _as_kept(entry: Entry) -> Entry:
    """Return an entry of the ledger with the state `Kept`, which its place stands for."""
    match entry.state:
        case Writing(key_id, digest) as state:
            return attrs.evolve(entry, state=Kept(key_id, digest, state.begun, state.found))
        case Ousting(key_id, digest) | Retiring(key_id, digest) as state:
            return attrs.evolve(entry, state=Kept(key_id, digest, state.switched, state.found))
        case Kept():
            return entry
    raise RefusedError("it is not the entry of a key whose secret is stored")
