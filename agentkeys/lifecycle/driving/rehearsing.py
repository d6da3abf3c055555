"""A sweep that changes nothing: what it would do is taken for done."""

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
    """Lists, and looks into stores. What else it is told to do, it says it has done."""

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
    """An entry of which nothing is noted."""

    def __init__(self, owned: Owned) -> None:
        self._owned = owned
        self.entry = owned.entry

    @property
    def id(self) -> str:
        """What the entry is called in the journal."""
        return self._owned.id

    def note(self, entry: Entry) -> None:
        """Note nothing."""

    def release(self) -> None:
        """Leave the entry to whoever sweeps."""
        self._owned.release()

    def forget(self) -> None:
        """Leave the entry where it is."""
        self._owned.release()

    def describe(self) -> str:
        """Return where the entry lies."""
        return self._owned.describe()
