"""A sweep that changes nothing: each change is assumed to succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkeys.lifecycle.driving.looking import SweepingHands
from agentkeys.lifecycle.machine import commands, events

if TYPE_CHECKING:
    from agentkeys.lifecycle.journal import Owned
    from agentkeys.lifecycle.machine.commands import Command
    from agentkeys.lifecycle.machine.events import Event
    from agentkeys.lifecycle.machine.states import Entry

__all__ = ["LookingHands", "Unwritten"]


class LookingHands(SweepingHands):
    """Lists keys and reads stores. Every other command reports success without doing anything."""

    async def do(self, owned: Owned, command: Command) -> Event:
        """Run a command; see `driver.Hands`."""
        match command:
            case commands.Delete(ids):
                return events.Deleted(ids)
            case commands.Weed():
                return events.Weeded(())
            case commands.Announce() if self._then is not None:
                return events.Announced()
        return await super().do(owned, command)


class Unwritten:
    """An entry whose new states are not written."""

    def __init__(self, owned: Owned) -> None:
        self._owned = owned
        self.entry = owned.entry

    @property
    def id(self) -> str:
        """The id of the entry in the journal."""
        return self._owned.id

    def note(self, entry: Entry) -> None:
        """Write nothing."""

    def is_held(self) -> bool:
        """Whether nobody else can have taken it over."""
        return self._owned.is_held()

    def current(self) -> tuple[Entry | None, bool]:
        """Return what is remembered of it now, and whether a process drives it."""
        return self._owned.current()

    def release(self) -> None:
        """Release the entry for a later sweep."""
        self._owned.release()

    def forget(self) -> None:
        """Leave the entry unchanged."""
        self._owned.release()

    def describe(self) -> str:
        """Return the place of the entry."""
        return self._owned.describe()
