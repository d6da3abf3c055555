"""Whether a store holds a secret: it does, it does not, or nobody can tell."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, TypeAlias

import attrs

from agentkeys.errors import AgentKeysError
from agentkeys.lifecycle import entries, wording
from agentkeys.stores import open_store
from agentkeys.stores.contract import RecognizableStore

if TYPE_CHECKING:
    from typing import TypeVar

    from agentkeys.lifecycle.entries import Received
    from agentkeys.stores import Store
    from agentkeys.stores.contract import Found

    T = TypeVar("T")

__all__ = ["CannotLook", "Holds", "Lacks", "Look", "look"]


@attrs.frozen
class Holds:
    """The store holds the secret."""


@attrs.frozen
class Lacks:
    """The store is what it was, and holds it not: it was never written."""


@attrs.frozen
class CannotLook:
    """The store may hold the secret, or something else may that was in its place before.

    Attributes:
        why: what is not known, as a sentence without a full stop.
        remedy: what may make it known.
    """

    why: str
    remedy: str = ""


Look: TypeAlias = Holds | Lacks | CannotLook


async def look(received: Received, seconds: float) -> Look:
    """Look for the secret of an attempt whose owner is gone, in so many seconds."""
    try:
        store = open_store(received.store)
        if not store.readable:
            return CannotLook(f"nobody can read {store.describe()}")
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            # First, for a read removes what a writer has left who died.
            difference = await _difference(store, received.found)
            secret = (await store.read()).secret
    except AgentKeysError as error:
        return CannotLook(str(error))
    except TimeoutError:
        return CannotLook(f"its store did not answer within {seconds:g} s")
    except Exception as error:  # noqa: BLE001  # whatever a store's library raises
        return CannotLook(f"its store cannot be read ({type(error).__name__})")
    if secret is not None and entries.digest_of(secret) == received.digest:
        return Holds()
    return difference or Lacks()


async def _difference(store: Store, found: Found | None) -> CannotLook | None:
    """Return why a secret that the store does not hold may have been written all the same."""
    lacks = f"{store.describe()} does not hold its secret"
    if found is None or not isinstance(store, RecognizableStore):
        return CannotLook(f"{lacks}, but what was written to may have been another place")
    try:
        if await store.is_as_found(found):
            return None
    except AgentKeysError as error:
        return CannotLook(f"{lacks}, and whether it ever did cannot be told: {error}")
    place = wording.shown(found.place)
    return CannotLook(
        f"{lacks}, but is not as it was when the secret was to be written into {place}",
        "if that is not mounted, was renamed or was replaced, undo that and sweep again; else ",
    )
