"""All that is known of one place, so that what concerns one key is found without a search."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs

from agentkeys.auditing.facts import Unread
from agentkeys.fleet.deciding import Listed
from agentkeys.lifecycle.journal import Remembered
from agentkeys.lifecycle.machine.naming import base_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.fleet.manifest.declared import Declared
    from agentkeys.keys import Key
    from agentkeys.lifecycle.journal import Seen

__all__ = ["Around"]


class Around:
    """The ledger and the listing of a place.

    Args:
        ledger: what the journal remembers of the place.
        listed: what the service lists there.

    """

    def __init__(self, ledger: Remembered, listed: Listed) -> None:
        self.ledger = ledger
        self.listed = listed
        self._entries: defaultdict[str, list[Seen]] = defaultdict(list)
        self._keys: defaultdict[str, list[Key[Any]]] = defaultdict(list)
        for seen in ledger.entries:
            for word in {seen.entry.plan.store, *_names(seen)}:
                self._entries[word].append(seen)
        for key in () if isinstance(listed.keys, Unread) else listed.keys:
            for word in {key.name, base_name(key.name)}:
                self._keys[word].append(key)

    def of(self, declared: Declared) -> tuple[Remembered, Listed]:
        """Return what of it concerns one key: `decide` finds in that what it finds in all of it."""
        here = self._entries.get(declared.store, ())
        names = {declared.name, *(name for seen in here for name in _names(seen))}
        keys = {id(key): key for name in names for key in self._keys.get(name, ())}
        known = {seen.id: seen for key in keys.values() for seen in self._entries.get(key.name, ())}
        known |= {seen.id: seen for seen in here}
        ledger = attrs.evolve(self.ledger, entries=tuple(known.values()))
        if isinstance(self.listed.keys, Unread):
            return ledger, self.listed
        return ledger, attrs.evolve(self.listed, keys=tuple(keys.values()))


def _names(seen: Seen) -> Iterator[str]:
    """Yield the names of the keys that an entry is about."""
    yield seen.entry.name
    if seen.entry.plan.replaces is not None:
        yield seen.entry.plan.replaces.name
