"""Looks into the store of an entry whose driver is gone, and lists the keys once for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from agentkeys.errors import (
    AgentKeysError,
    StoreError,
)
from agentkeys.lifecycle import steps
from agentkeys.lifecycle.hands import Listing, ServiceHands, digest_of
from agentkeys.lifecycle.moments import Moment, now
from agentkeys.lifecycle.states import Writing
from agentkeys.lifecycle.wording import shown
from agentkeys.stores import open_store
from agentkeys.stores.contract import RecognizableStore

if TYPE_CHECKING:
    from agentkeys.cancellation import Waiting
    from agentkeys.keys import Key, KeyCollection, Scope
    from agentkeys.lifecycle.states import Entry
    from agentkeys.lifecycle.steps import Event
    from agentkeys.stores import Store
    from agentkeys.stores.contract import Found

__all__ = ["SweepingHands"]

KeyT = TypeVar("KeyT", bound="Key[Any]")
T = TypeVar("T")


class SweepingHands(ServiceHands[Any]):
    """Finishes what others have left. It lists the keys once."""

    def __init__(self, keys: KeyCollection[Any, Any, Any], scope: Scope, waiting: Waiting) -> None:
        super().__init__(keys, scope, waiting)
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
        except Exception as error:  # noqa: BLE001  # whatever a store's library raises
            reason = f"its store cannot be read ({type(error).__name__})"
        return steps.CannotLook(StoreError(reason))


async def _looked(entry: Entry, asked: Moment, *, late: bool) -> Event:
    writing = entry.state
    assert isinstance(writing, Writing)  # noqa: S101  # no other state is looked for
    store = open_store(entry.plan.store)
    if not store.readable:
        return steps.CannotLook(StoreError(f"nobody can read {store.describe()}"))
    # First, for a read removes what a writer has left who died.
    difference = await _difference(store, writing.found)
    secret = (await store.read()).secret
    if secret is not None and digest_of(secret) == writing.digest:
        return steps.Holds()
    return difference or steps.Lacks(late, asked)


async def _difference(store: Store, found: Found | None) -> steps.CannotLook | None:
    """Return why a secret that the store does not hold may have been written all the same."""
    lacks = f"{store.describe()} does not hold its secret"
    if found is None or not isinstance(store, RecognizableStore):
        reason = f"{lacks}, but what was written to may have been another place"
        return steps.CannotLook(StoreError(reason))
    try:
        if await store.is_as_found(found):
            return None
    except AgentKeysError as error:
        return steps.CannotLook(
            StoreError(f"{lacks}, and whether it ever did cannot be told: {error}")
        )
    return steps.CannotLook(
        StoreError(
            f"{lacks}, but is not as it was when the secret was to be written into"
            f" {shown(found.place)}"
        ),
        "if that is not mounted, was renamed or was replaced, undo that and sweep again; else ",
    )
