"""Entries of one journal go to another one, and none is lost on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentkeys.lifecycle.machine.states import Kept
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.keys import Scope
    from agentkeys.lifecycle.journal import Journal, Owned, Seen

__all__ = ["Moved", "moved"]


@attrs.frozen
class Moved:
    """What became of the entries of a journal.

    Attributes:
        moved: how many are in the other journal now.
        left: the entries in use, in words: move them later.
        unreadable: what could not be read, a sentence each.
    """

    moved: int
    left: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def moved(source: Journal, target: Journal) -> Moved:
    """Move the entries of one journal to another one; it waits for both.

    An entry is durable there before it is removed here. If this process dies in between, it is in
    both with one id, and the next move removes it here.
    """
    count = 0
    for entry_id, owned, seen in _owned(source):
        try:
            target.put(entry_id, owned.entry if seen is None else seen.entry)
        except BaseException:
            owned.release()
            raise
        owned.forget()
        count += 1
    found = source.remembered(_any)
    left = tuple(f"{mask(each.entry.name)} ({each.where})" for each in found.entries)
    return Moved(count, left, found.unreadable)


def _owned(source: Journal) -> Iterator[tuple[str, Owned, Seen | None]]:
    """Take over one entry after the other; of one that is kept, what is seen says that it is."""
    claimed = source.claim(_any)
    try:
        for owned in claimed.entries:
            yield owned.id, owned, None
    finally:
        claimed.release()
    for seen in source.remembered(_any).entries:
        held = source.hold(seen.id) if isinstance(seen.entry.state, Kept) else None
        if held is not None:
            yield seen.id, held, seen


def _any(_: Scope) -> bool:
    return True
