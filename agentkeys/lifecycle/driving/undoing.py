"""What an owner does who was paused, wrote to a store too late, and has lost the entry meanwhile.

Between the look at the lease and the write a process can be suspended. By then another process may
have read the store, found no secret, and deleted its key. So the one who comes late sees
what was decided, and takes the secret out again if its key is gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import attrs

from agentkeys.cancellation import GRACE
from agentkeys.errors import AgentKeysError
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.machine.states import State
from agentkeys.secret import Secret
from agentkeys.stores import Store

if TYPE_CHECKING:
    from agentkeys.cancellation import Waiting
    from agentkeys.lifecycle.journal import Owned
    from agentkeys.lifecycle.machine.states import Entry

__all__ = ["Late", "undone"]

_PAUSE: Final = 0.1  # seconds


@attrs.frozen
class Late:
    """A write to a store that may have come too late.

    Attributes:
        store: the store.
        written: what was written.
        before: what the store held before, if that is to be there again.
        undecided: the states in which nobody has decided yet what became of it.
        good: those in which the store should hold what was written; that of no entry is None.
        may_come: whether the store has not answered, so that it may be written yet.
    """

    store: Store
    written: Secret
    before: Secret | None
    undecided: type[State]
    good: tuple[type[State | None], ...]
    may_come: bool = False


async def undone(late: Late, owned: Owned, waiting: Waiting) -> tuple[Entry | None, str]:
    """Take back what was written too late; return the entry as it is now, and what was done."""
    place = late.store.describe()
    try:
        entry, is_driven = await _decided(late, owned, waiting)
        state = None if entry is None else entry.state
        is_open = isinstance(state, late.undecided)
        # Whoever looks from now on finds it.
        if isinstance(state, late.good) or (is_open and not is_driven):
            return entry, ""
        if not is_open:
            return entry, await waiting.result(_put_back(late), least=GRACE)
        why = "another process still works on it"
    except TimeoutError:
        entry, why = owned.entry, "there was no time left to see to it"
    except AgentKeysError as error:
        entry, why = owned.entry, str(error)
    except Exception as error:  # noqa: BLE001  # the store may be third-party code, and its error may hold the secret
        entry, why = owned.entry, type(error).__name__
    return entry, f"; whether {place} holds a secret whose key is gone is not known: {why}: look"


async def _decided(late: Late, owned: Owned, waiting: Waiting) -> tuple[Entry | None, bool]:
    """Wait until the owner of the entry has decided, or the time is up."""
    clock = asyncio.get_running_loop().time
    until = clock() + max(waiting.left(), GRACE)
    while True:
        found = await waiting.result(disk.in_thread(owned.current), least=GRACE)
        entry, is_driven = found
        is_open = is_driven and entry is not None and isinstance(entry.state, late.undecided)
        if not is_open or clock() > until:
            return found
        await waiting.result(asyncio.sleep(_PAUSE), least=GRACE)


async def _put_back(late: Late) -> str:
    """Put back what the store held, if it still holds what was written."""
    store, place = late.store, late.store.describe()
    if not store.readable:
        return f"; {place} may hold a secret whose key is gone, and cannot be read: replace it"
    stored = await store.read()
    if stored.secret != late.written:
        may = f"; its secret may still come to {place}, though its key is gone: look there later"
        return may if late.may_come else ""
    if late.before is None:
        await store.remove(expected=stored.version)
        return f"; its secret, which came too late, was taken out of {place} again"
    await store.write(late.before, expected=stored.version)
    return f"; its secret came too late, and {place} holds again what it held before"
