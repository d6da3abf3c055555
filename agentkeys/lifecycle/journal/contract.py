"""What every journal does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from agentkeys.lifecycle.machine.states import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.keys import Scope

__all__ = ["Claimed", "Journal", "Owned", "Remembered", "Seen"]


class Owned(Protocol):
    """An entry that is this driver's until it lets go of it: nobody else may act on it.

    The methods that wait for a disk block, and are called in a thread.
    """

    entry: Entry
    """How far it has come: what the driver knows to be noted."""

    @property
    def id(self) -> str:
        """What the entry is called in the journal."""

    def note(self, entry: Entry) -> None:
        """Note how far it has come. That is durable when this returns.

        An entry that is closed is forgotten, and one that is kept is the ledger's from then on.

        Raises:
            OSError: it could not be noted, or is not this driver's any more. Then what it
                announces must not be done.

        """

    def release(self) -> None:
        """Leave the entry to whoever sweeps. It does not block."""

    def forget(self) -> None:
        """Remove the entry, for nothing was begun, and let go of it."""

    def describe(self) -> str:
        """Return where the entry lies, for a sentence."""


@attrs.frozen
class Claimed:
    """What was found that nobody drives.

    Attributes:
        entries: those in wanted scopes, each of which is this driver's now.
        unreadable: what could not be looked at, and may be an entry: a sentence each.
    """

    entries: tuple[Owned, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def scopes(self) -> set[Scope]:
        """The scopes of the entries."""
        return {each.entry.plan.scope for each in self.entries}

    def release(self) -> None:
        """Leave all of them to whoever sweeps next."""
        for each in self.entries:
            each.release()


@attrs.frozen
class Seen:
    """An entry as it was read: somebody may be driving it on.

    Attributes:
        id: what it is called in the journal.
        entry: how far it had come; if its secret is stored, its state is `Kept`.
        where: where it lies, for a sentence.
    """

    id: str
    entry: Entry
    where: str


@attrs.frozen
class Remembered:
    """All that the journal knows of some scopes.

    Attributes:
        entries: what is kept, and what is under way or was left.
        unreadable: what could not be looked at, and may be an entry: a sentence each.
    """

    entries: tuple[Seen, ...] = ()
    unreadable: tuple[str, ...] = ()


class Journal(Protocol):
    """Remembers the entries. Its methods block, and are called in a thread."""

    def begin(self, entry: Entry) -> Owned:
        """Remember a new entry; it is durable, and this driver's, when this returns.

        Raises:
            ConfigurationError: it cannot be remembered, so nothing must be begun.

        """

    def claim(self, is_wanted: Callable[[Scope], bool]) -> Claimed:
        """Take over the entries in wanted scopes that nobody drives; the caller releases them.

        Raises:
            ConfigurationError: it is not known where they lie.

        """

    def remembered(self, is_wanted: Callable[[Scope], bool]) -> Remembered:
        """Return the entries in wanted scopes, without taking any over.

        Raises:
            ConfigurationError: it is not known where they lie.

        """

    def hold(self, entry_id: str) -> Owned | None:
        """Take over an entry of the ledger, until it is released; None if somebody else has it."""

    def adopt(self, entry: Entry) -> str:
        """Add to the ledger an entry whose secret is stored; return its id.

        Raises:
            ConfigurationError: it cannot be remembered.

        """

    def describe(self) -> str:
        """Return where the entries lie, for a sentence."""
