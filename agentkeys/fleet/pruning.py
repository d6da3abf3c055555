"""Deletes a key of the ledger that is declared no more, and its secret."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from agentkeys.errors import NotFoundError, RotationInProgressError
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.hands import digest_of
from agentkeys.lifecycle.driving.making import read
from agentkeys.lifecycle.ledger import check_who_signs_in
from agentkeys.lifecycle.machine.states import Kept
from agentkeys.lifecycle.remembering import opened
from agentkeys.masking import mask
from agentkeys.stores import open_store

if TYPE_CHECKING:
    from agentkeys.fleet.deciding import Step
    from agentkeys.keys import KeyCollection, Scope
    from agentkeys.lifecycle.journal import Owned, Seen
    from agentkeys.lifecycle.machine.states import KeyId

__all__ = ["prune"]


async def prune(
    step: Step, keys: KeyCollection[Any, Any, Any], scope: Scope, seconds: float
) -> tuple[KeyId, ...]:
    """Delete the key of a step, then its secret, then its entry; return the id.

    In this order, so that the entry is left if the process dies, and a second run finishes it.

    Raises:
        RotationInProgressError: another process is replacing it.
        RotationError: the client signs in with it.
        StoreError: the store could not be read, and nothing was changed; or the secret could not be
            removed, and the key is deleted.
        RequestError: it could not be deleted.

    """
    seen = await _entry(step, scope)
    if seen is None:  # another process deleted it first
        return ()
    held = await disk.in_thread(partial(opened().hold, seen.id), undo=_release)
    if held is None:
        name = mask(step.declared.name)
        why = "another process replaces it now"
        raise RotationInProgressError(f"the key {name!r} was not deleted: {why}")
    try:
        await _delete(seen, keys, seconds)
        await disk.in_thread(held.forget)
    finally:
        held.release()
    return () if seen.entry.key_id is None else (seen.entry.key_id,)


async def _entry(step: Step, scope: Scope) -> Seen | None:
    """Return the entry of the key, if it is kept still."""
    remembered = await disk.in_thread(partial(opened().remembered, scope.is_at, scope))
    for seen in remembered.entries:
        plan = seen.entry.plan
        is_it = (plan.name, plan.store) == (step.declared.name, step.declared.store)
        if is_it and isinstance(seen.entry.state, Kept) and seen.entry.key_id == step.key_id:
            return seen
    return None


async def _delete(seen: Seen, keys: KeyCollection[Any, Any, Any], seconds: float) -> None:
    entry, store = seen.entry, open_store(seen.entry.plan.store)
    stored = await read(store) if store.readable else None
    secret = None if stored is None else stored.secret
    for key in await keys.list(timeout=seconds).collect():
        if key.name == entry.name and entry.key_id in {None, key.id}:
            check_who_signs_in(keys, entry.plan, key, secret)
            with contextlib.suppress(NotFoundError):  # since it was listed
                await keys.delete(key.id, timeout=seconds)
    digest = getattr(entry.state, "digest", "")
    if stored is not None and secret is not None and digest_of(secret) == digest:
        await store.remove(expected=stored.version)


def _release(held: Owned | None) -> None:
    if held is not None:
        held.release()
