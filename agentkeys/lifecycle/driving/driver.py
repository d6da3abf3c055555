"""Drive an entry: the machine decides, the journal notes the step, then the hands take it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import attrs

from agentkeys.cancellation import GRACE
from agentkeys.errors import StoreError
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.journal import LostError
from agentkeys.lifecycle.machine.commands import (
    End,
    Ending,
)
from agentkeys.lifecycle.machine.events import (
    Event,
    NotNoted,
)
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import Entry
from agentkeys.lifecycle.machine.table import advance

if TYPE_CHECKING:
    from agentkeys.cancellation import Waiting
    from agentkeys.lifecycle.journal import Owned
    from agentkeys.lifecycle.machine.commands import (
        Command,
    )

__all__ = ["Hands", "Outcome", "check_held", "drive", "not_noted"]


class Hands(Protocol):
    """Runs commands. A failure, also a timeout, is returned as an event."""

    async def do(self, owned: Owned, command: Command) -> Event:
        """Run a command that does not end the drive, and return its event."""

    async def lost(self, owned: Owned) -> tuple[Entry | None, str]:
        """Undo what may have been done too late, because another process took the entry over.

        Returns the entry as it is now, and what to say of it.
        """


@attrs.frozen
class Outcome:
    """Where the drive of an entry ended, for now.

    Attributes:
        entry: the last noted entry before the end.
        ending: how the drive ended.
        events: the events of the drive, in order.
        where: the place of the entry, for a text.
        id: the id of the entry in the journal.
        undone: what was done about a write that came too late, in words.
    """

    entry: Entry
    ending: Ending
    events: tuple[Event, ...]
    where: str
    id: str = ""
    undone: str = ""


async def drive(owned: Owned, event: Event, hands: Hands, waiting: Waiting) -> Outcome:
    """Drive an entry from *event* on until it ends for now, and release it.

    If another process has taken it over, nothing more is done.
    """
    events: list[Event] = []
    entry, ending = owned.entry, Ending.LOST
    is_kept_hold_of, undone = False, ""
    try:
        while True:
            events.append(event)
            entry = owned.entry
            move = advance(entry, event, now())
            failed = None if move.entry == entry else await _note(owned, move.entry, waiting)
            if failed is not None:
                event = failed
            elif isinstance(move.command, End):
                ending = move.command.ending
                is_kept_hold_of = ending in {Ending.HELD, Ending.LENT}
                break
            else:
                check_held(owned)
                event = await hands.do(owned, move.command)
    except LostError:
        current, undone = await hands.lost(owned)
        entry = current or entry
    finally:
        if not is_kept_hold_of:
            owned.release()
    return Outcome(entry, ending, tuple(events), owned.describe(), owned.id, undone)


def check_held(owned: Owned) -> None:
    """See that nobody else acts on an entry. Between this and what is done next nothing waits.

    Raises:
        LostError: another process may own it.

    """
    if not owned.is_held():
        raise LostError(f"the lease of {owned.describe()} is over")


async def _note(owned: Owned, entry: Entry, waiting: Waiting) -> NotNoted | None:
    """Note an entry; return the event of the failure if it could not be noted."""
    try:
        await waiting.result(disk.in_thread(partial(owned.note, entry)), least=GRACE)
    except OSError as error:  # a TimeoutError is one
        return not_noted(owned, entry, error)
    owned.entry = entry
    return None


def not_noted(owned: Owned, wanted: Entry, error: OSError) -> NotNoted:
    """Return the event for an entry that could not be noted."""
    reason = error.strerror or ("its time was up" if isinstance(error, TimeoutError) else "")
    said = f"the next step cannot be noted in {owned.describe()}: {reason or type(error).__name__}"
    return NotNoted(StoreError(said, store=wanted.plan.store), wanted=wanted.state)
