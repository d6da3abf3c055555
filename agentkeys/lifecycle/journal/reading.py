"""Read entries without taking them over: no file is locked or changed.

A folder has parts, each for a share of the places, so that the entries of one place are found
without a look at all others. Entries of earlier versions lie in the folder itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from agentkeys.filesystem import RefusedError, open_own
from agentkeys.lifecycle.journal import ids, lines, own_files
from agentkeys.lifecycle.journal.contract import Seen
from agentkeys.lifecycle.journal.lines import NotAnEntry, Torn
from agentkeys.lifecycle.machine.states import Entry, Kept, Ousting, Retiring, Writing
from agentkeys.plain import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentkeys.keys import Scope

__all__ = ["KEPT", "check_found", "each", "file_of", "read"]

KEPT: Final = ".key"
"""The ending of the names of the ledger's files."""

T = TypeVar("T")


def each(
    folder: Path, ending: str, look: Callable[[Path], T | None], near: Scope | None = None
) -> Iterator[T | str | None]:
    """Yield the result of *look* for each file of a folder, or a sentence if it cannot be read.

    If all wanted entries are at *near*, files that are named after other places are left out.
    """
    place = "" if near is None else ids.place_of(near)
    try:
        yield from _each_in(folder, ending, look)
        parts = [place[:2]] if place else [*filter(own_files.is_part, own_files.names(folder))]
    except RefusedError as error:
        yield _not_listed(folder, error)
        return
    for part in parts:
        try:
            yield from _each_in(folder / part, ending, look, place)
        except RefusedError as error:
            yield _not_listed(folder / part, error)


def _each_in(
    folder: Path, ending: str, look: Callable[[Path], T | None], place: str = ""
) -> Iterator[T | str | None]:
    for name in own_files.names(folder):
        if name.endswith(ending) and name.startswith(place):
            yield _looked_at(folder / name, look)


def _not_listed(folder: Path, error: RefusedError) -> str:
    return (
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


def file_of(folder: Path, entry_id: str, ending: str = KEPT) -> Path:
    """Return the path of an entry, whose id may come from another entry.

    Raises:
        RefusedError: *entry_id* is not an id, and may name another path.
    """
    if not ids.is_id(entry_id):
        raise RefusedError("it is not an id of an entry")
    part = folder / entry_id[:2] if ids.place_in(entry_id) else folder
    return part / f"{entry_id}{ending}"


def check_found(path: Path, entry: Entry) -> None:
    """Check that the file of an entry lies where a search of its place finds it.

    Raises:
        RefusedError: the file was renamed or moved.
    """
    place, part = ids.place_in(path.stem), path.parent.name
    is_right = part == place[:2] if place else not own_files.is_part(part)
    if not is_right or place not in {"", ids.place_of(entry.plan.scope)}:
        raise RefusedError("it has the name or the folder of another entry")


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
        check_found(path, found)
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
