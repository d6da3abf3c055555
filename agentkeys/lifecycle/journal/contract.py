"""The protocol of a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from agentkeys.lifecycle.machine.states import Entry, Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agentkeys.keys import Scope

__all__ = ["Claimed", "Journal", "Owned", "Remembered", "Seen", "left"]


class Owned(Protocol):
    """An entry that only this driver may act on until the driver releases it.

    The methods that wait for a disk block, so they are called in a thread.
    """

    entry: Entry
    """The last state that was noted."""

    @property
    def id(self) -> str:
        """The id of the entry in the journal."""

    def note(self, entry: Entry) -> None:
        """Write a state of the entry; it is durable when this returns.

        A closed entry is removed, and a kept entry belongs to the ledger from then on.

        Raises:
            OSError: the state could not be written, or the entry no longer belongs to this driver.
                Then the step that it announces must not be taken.
        """

    def release(self) -> None:
        """Release the entry for a later sweep. This does not block."""

    def forget(self) -> None:
        """Remove the entry, because nothing was begun, and release it."""

    def describe(self) -> str:
        """Return the place of the entry, for a text."""


@attrs.frozen
class Claimed:
    """The entries that `claim` found without a driver.

    Attributes:
        entries: the entries in wanted scopes; this driver owns them now.
        unreadable: the files that may be entries but could not be read, one sentence each.
    """

    entries: tuple[Owned, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def scopes(self) -> set[Scope]:
        """The scopes of the entries."""
        return {each.entry.plan.scope for each in self.entries}

    def release(self) -> None:
        """Release all entries for a later sweep."""
        for each in self.entries:
            each.release()


@attrs.frozen
class Seen:
    """An entry as it was read; a driver may be working on it.

    Attributes:
        id: the id of the entry in the journal.
        entry: its last state; if its secret is stored, the state is `Kept`.
        where: the place of the entry, for a text.
    """

    id: str
    entry: Entry
    where: str


@attrs.frozen
class Remembered:
    """All that the journal knows of some scopes.

    Attributes:
        entries: the kept entries, and the unfinished ones.
        unreadable: the files that may be entries but could not be read, one sentence each.
    """

    entries: tuple[Seen, ...] = ()
    unreadable: tuple[str, ...] = ()


def left(entries: Iterable[Seen]) -> tuple[Seen, ...]:
    """Return the entries of a place without those of keys that others have replaced for good."""
    entries = tuple(entries)
    kept = (each.entry for each in entries if isinstance(each.entry.state, Kept))
    gone = {entry.plan.replaces.entry for entry in kept if entry.plan.replaces is not None}
    return tuple(each for each in entries if each.id not in gone)


class Journal(Protocol):
    """Keeps the entries. Its methods block, so they are called in a thread."""

    def begin(self, entry: Entry) -> Owned:
        """Add a new entry; when this returns, it is durable, and this driver owns it.

        Raises:
            ConfigurationError: the entry cannot be written, so no request may be sent.
        """

    def claim(self, is_wanted: Callable[[Scope], bool]) -> Claimed:
        """Take over the entries in wanted scopes that have no driver; the caller releases them.

        Raises:
            ConfigurationError: the place of the entries is not known.
        """

    def remembered(self, is_wanted: Callable[[Scope], bool]) -> Remembered:
        """Return the entries in wanted scopes, without taking them over.

        Raises:
            ConfigurationError: the place of the entries is not known.
        """

    def each(self) -> Iterator[Seen | str]:
        """Yield every entry, one by one, without taking any over, or a sentence in its stead.

        The sentence is about what could not be looked at, and may be an entry. An entry that moves
        into the ledger meanwhile may come twice; see `left` for those that were replaced.

        Raises:
            ConfigurationError: it is not known where they lie.

        """

    def hold(self, entry_id: str) -> Owned | None:
        """Take over an entry of the ledger until it is released; return None if it is in use."""

    def adopt(self, entry: Entry) -> str:
        """Add an entry whose secret is stored to the ledger; return its id.

        Raises:
            ConfigurationError: the entry cannot be written.
        """

    def describe(self) -> str:
        """Return the place of the entries, for a text."""
