"""Finding the key that a lost answer left behind, and deleting it."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, TypeVar

from agentkeys.errors import DeadlineExceededError, NotFoundError

if TYPE_CHECKING:
    from agentkeys.keys import Key, KeyCollection
    from agentkeys.lifecycle.budget import Budget

__all__ = ["delete", "ids_by_name", "named"]

KeyT = TypeVar("KeyT", bound="Key[Any]")


async def named(keys: KeyCollection[Any, KeyT, Any], name: str, budget: Budget) -> list[KeyT]:
    """Return the keys of that very name.

    Raises:
        AgentKeysError: they cannot be listed in time.

    """
    return [key for key in await _listed(keys, budget) if key.name == name]


async def ids_by_name(
    keys: KeyCollection[Any, Any, Any], budget: Budget
) -> dict[str, list[str | int]]:
    """Return the ids of the keys of each name.

    Raises:
        AgentKeysError: they cannot be listed in time.

    """
    found: dict[str, list[str | int]] = {}
    for key in await _listed(keys, budget):
        found.setdefault(key.name, []).append(key.id)
    return found


async def delete(keys: KeyCollection[Any, Any, Any], key_id: str | int, budget: Budget) -> None:
    """Delete a key; one that is gone already is as good.

    Raises:
        AgentKeysError: it could not be deleted in time.

    """
    try:
        await keys.delete(key_id, timeout=budget.left())
    except NotFoundError:
        return


async def _listed(keys: KeyCollection[Any, KeyT, Any], budget: Budget) -> list[KeyT]:
    seconds = budget.left()
    try:
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            return await keys.list(timeout=seconds).collect()
    except TimeoutError as error:
        late = error if isinstance(error, DeadlineExceededError) else None
    raise late or DeadlineExceededError("the keys could not be listed in the time that was left")
