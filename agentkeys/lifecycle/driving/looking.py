"""Read the store of an entry whose driver is gone, and list the keys once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentkeys.errors import (
    AgentKeysError,
    StoreError,
)
from agentkeys.lifecycle.driving.hands import Listing, ServiceHands, digest_of
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.moments import Moment, now
from agentkeys.lifecycle.machine.states import Ousting, Retiring, Writing
from agentkeys.plain import shown
from agentkeys.stores import open_store
from agentkeys.stores.contract.protocol import is_as_found

if TYPE_CHECKING:
    from agentkeys.cancellation import Waiting
    from agentkeys.keys import KeyCollection, Scope
    from agentkeys.lifecycle.driving.callbacks import Then
    from agentkeys.lifecycle.machine.events import (
        Event,
    )
    from agentkeys.lifecycle.machine.states import Entry
    from agentkeys.stores import Store
    from agentkeys.stores.contract import Found

__all__ = ["SweepingHands", "looked_again"]

_REMEDY: Final = (
    "if the store is not mounted, or was renamed or replaced, undo that and sweep again; else "
)


class SweepingHands(ServiceHands[Any]):
    """Finishes the work of others. It lists the keys once."""

    def __init__(
        self,
        keys: KeyCollection[Any, Any, Any],
        scope: Scope,
        waiting: Waiting,
        then: Then | None = None,
    ) -> None:
        super().__init__(keys, scope, waiting, then)
        self._listing: Listing[Any] | None = None

    async def listed(self) -> Listing[Any]:
        """List the keys, once."""
        if self._listing is None:
            self._listing = await super().listed()
        return self._listing

    async def _look(self, entry: Entry, *, late: bool) -> Event:
        asked = now()
        seconds = self.waiting.half()
        try:
            return await self.waiting.result(_looked(entry, asked, late=late), most=seconds)
        except TimeoutError:
            reason = f"its store did not answer within {seconds:g} s"
        except AgentKeysError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001  # a store's library may raise anything
            reason = f"its store cannot be read ({type(error).__name__})"
        return events.CannotLook(StoreError(reason))


async def _looked(entry: Entry, asked: Moment, *, late: bool) -> Event:
    try:
        store = open_store(entry.plan.store)
    except AgentKeysError as error:
        where = shown(entry.plan.store)
        return events.CannotLook(StoreError(f"its store {where} cannot be opened: {error}"))
    if not isinstance(entry.state, Writing):
        return await looked_again(store, entry, asked, late=late)
    if _is_write_only(store, entry):
        return events.CannotLook(StoreError(f"{store.describe()} is write-only"))
    # First, because a read removes the leftovers of a writer that died.
    difference = await _difference(store, entry.state.found)
    secret = (await store.read()).secret
    if secret is not None and digest_of(secret) == entry.state.digest:
        return events.Holds()
    return difference or events.Lacks(late, asked)


def _is_write_only(store: Store, entry: Entry) -> bool:
    # A store that was readable before proves nothing by being unreadable now.
    return entry.plan.write_only or not store.readable


async def looked_again(store: Store, entry: Entry, asked: Moment, *, late: bool) -> Event:
    """Read a store that held the secret of a key when it was last read.

    A write-only store, such as a program, is assumed to hold what was written to it.
    """
    state = entry.state
    if _is_write_only(store, entry) and isinstance(state, Retiring | Ousting):
        return events.Holds()
    secret = (await store.read()).secret
    if secret is None:
        reason = f"{store.describe()} holds no secret at all, and may be another place"
        return events.CannotLook(StoreError(reason), _REMEDY)
    if digest_of(secret) == getattr(state, "digest", None):
        return events.Holds()
    return events.Lacks(late, asked)


async def _difference(store: Store, found: Found | None) -> events.CannotLook | None:
    """Return why a secret that the store does not hold may have been written nevertheless."""
    lacks = f"{store.describe()} does not hold its secret"
    if found is None:
        reason = f"{lacks}, but it may have been written to another place"
        return events.CannotLook(StoreError(reason))
    try:
        if await is_as_found(store, found):
            return None
    except AgentKeysError as error:
        return events.CannotLook(
            StoreError(f"{lacks}, and it is not known whether it ever did: {error}")
        )
    return events.CannotLook(
        StoreError(
            f"{lacks}, but has changed since the secret was to be written to {shown(found.place)}"
        ),
        _REMEDY,
    )
