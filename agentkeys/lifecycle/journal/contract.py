"""The protocol of a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from agentkeys.errors import JournalError
from agentkeys.lifecycle.machine.states import Entry, Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agentkeys.keys import Scope

__all__ = ["Claimed", "Journal", "LostError", "Owned", "Remembered", "Seen", "left"]


class LostError(JournalError):
    """Another process, perhaps on another machine, has taken the entry over, and goes on."""


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
            OSError: the state could not be written. Then the step that it announces must not be
                taken.
            LostError: another process has taken the entry over. Nothing was changed.
        """

    def is_held(self) -> bool:
        """Whether nobody else can have taken it over. It costs nothing, and does not block.

        A driver that does not hold its entry any more runs no command.
        """

    def current(self) -> tuple[Entry | None, bool]:
        """Return what is remembered of it now, if anything, and whether a process drives it.

        It is for who has lost it.
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

    @property
    def scopes(self) -> set[Scope]:
        """The scopes of the entries."""
        return {each.entry.plan.scope for each in self.entries}


def left(entries: Iterable[Seen]) -> tuple[Seen, ...]:
    """Return the entries of a place without those of keys whose replacement is finished."""
    entries = tuple(entries)
    kept = (each.entry for each in entries if isinstance(each.entry.state, Kept))
    gone = {entry.plan.replaces.entry for entry in kept if entry.plan.replaces is not None}
    return tuple(each for each in entries if each.id not in gone)


@runtime_checkable
class Journal(Protocol):
    """Keeps the entries. Its methods block, so they are called in a thread.

    All of them raise `JournalError` if the journal cannot be reached. Where they ask which scopes
    are wanted, *near* is a place in which all that is wanted lies, if there is such a place: a
    journal may look there alone.
    """

    def begin(self, entry: Entry) -> Owned:
        """Add a new entry; when this returns, it is durable, and this driver owns it.

        Raises:
            ConfigurationError: the entry cannot be written, so no request may be sent.
        """

    def claim(self, is_wanted: Callable[[Scope], bool], near: Scope | None = None) -> Claimed:
        """Take over the entries in wanted scopes that have no driver; the caller releases them.

        Raises:
            ConfigurationError: the place of the entries is not known.
        """

    def remembered(
        self, is_wanted: Callable[[Scope], bool], near: Scope | None = None
    ) -> Remembered:
        """Return the entries in wanted scopes, without taking them over.

        Raises:
            ConfigurationError: the place of the entries is not known.
        """

    def each(self) -> Iterator[Seen | str]:
        """Yield every entry, one by one, without taking any over, or a sentence in its stead.

        The sentence names what could not be read, and may be an entry. An entry that moves
        into the ledger meanwhile may come twice; see `left` for those that were replaced.

        Raises:
            ConfigurationError: it is not known where they lie.

        """

    def survey(self) -> Remembered:
        """Return the entries under way that nobody drives, without taking any over."""

    def hold(self, entry_id: str) -> Owned | None:
        """Take over an entry of the ledger until it is released; return None if it is in use."""

    def adopt(self, entry: Entry) -> str:
        """Add an entry whose secret is stored to the ledger; return its id.

        Raises:
            ConfigurationError: the entry cannot be written.
        """

    def put(self, entry_id: str, entry: Entry) -> None:
        """Add an entry of another journal, which nobody drives, unless one of that id is there.

        Raises:
            ConfigurationError: it cannot be remembered.

        """

    def describe(self) -> str:
        """Return the place of the entries, for a text."""

    def way_out(self) -> str:
        """Return how a person removes entries that nothing can finish, as part of a sentence."""
