"""`sweep`: finish what processes that died, and answers that were lost, have left behind."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys.errors import AgentKeysError
from agentkeys.keys import KeyCollection, Scope
from agentkeys.lifecycle import attempts, disk, recovery
from agentkeys.lifecycle.budget import Budget
from agentkeys.secret import mask
from agentkeys.stores import open_store
from agentkeys.transport import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentkeys.lifecycle.attempts import HeldAttempt, Received

    Keys = KeyCollection[Any, Any, Any]

__all__ = ["Swept", "sweep", "sweep_own"]

logger: Final = logging.getLogger("agentkeys")

# Seconds for which a key that was not there is looked for again: a slow service may make it late.
_PATIENCE: Final = 600.0


@attrs.frozen
class Swept:
    """What `sweep` found.

    Attributes:
        deleted: the ids of keys that nobody held, and that were deleted.
        stored: the ids of keys whose secrets are where they belong; None for one that is unknown.
        waiting: the names of keys that are not there but may come late: sweep again after ten
            minutes.
        unresolved: what only you can decide, each a sentence.
    """

    deleted: tuple[str | int, ...] = ()
    stored: tuple[str | int | None, ...] = ()
    waiting: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()


async def sweep(
    keys: KeyCollection[Any, Any, Any],
    *,
    timeout: float | None = None,
    scope: Scope | None = None,
) -> Swept:
    """Finish the attempts to issue a key here whose processes are gone.

    An attempt that did not hear the answer: the key that bears its nonce is deleted. One that did:
    the key is deleted, unless the store holds its secret. Attempts of processes that live are left
    alone. It costs no request when there is nothing to sweep.

    Args:
        keys: where the keys were to be made.
        timeout: seconds for all of it; the client's own if None.
        scope: as it was given to `issue`; ``keys.scope`` if None.

    Raises:
        RequestError: the keys could not be listed. What is not finished can be swept again.
        InvalidArgumentError: nothing was sent.

    """
    check.collection(keys, "sweep", blocking=False)
    budget = Budget(keys.timeout if timeout is None else check.timeout(timeout))
    own = scope or keys.scope
    place = attrs.evolve(own, account="")
    return await _swept(keys, own, lambda found: attrs.evolve(found, account="") == place, budget)


async def sweep_own(keys: Keys, scope: Scope, budget: Budget) -> None:
    """Sweep the very scope of a key that is about to be issued; what fails can be done later."""
    try:
        await _swept(keys, scope, lambda found: found == scope, Budget(budget.half()))
    except AgentKeysError as error:
        logger.debug("the sweep before issuing a key ended early: %s", error)


async def _swept(
    keys: Keys, own: Scope, is_wanted: Callable[[Scope], bool], budget: Budget
) -> Swept:
    sweeping = _Sweeping(keys, own, budget)
    held = await disk.in_thread(lambda: attempts.claim(is_wanted), undo=_release)
    try:
        for each in held:
            await sweeping.settle(each)
    finally:
        _release(held)
    return sweeping.swept()


def _release(held: Iterable[HeldAttempt]) -> None:
    for each in held:
        each.release()


class _Sweeping:
    """One sweep: what it knows of the service, and what it has found."""

    def __init__(self, keys: Keys, own: Scope, budget: Budget) -> None:
        self._keys = keys
        self._own = own
        self._budget = budget
        self._listed: dict[str, list[str | int]] | None = None
        self._deleted: list[str | int] = []
        self._stored: list[str | int | None] = []
        self._waiting: list[str] = []
        self._unresolved: list[str] = []

    def swept(self) -> Swept:
        return Swept(
            tuple(self._deleted),
            tuple(self._stored),
            tuple(self._waiting),
            tuple(self._unresolved),
        )

    async def settle(self, held: HeldAttempt) -> None:
        """Finish one attempt, or say why not."""
        received = held.attempt.received
        if received is None:
            await self._settle_by_name(held)
            return
        stored = await _is_stored(received, self._budget.half())
        if stored is True:
            self._stored.append(received.key_id)
            held.finish()
        elif stored is False:
            await self._settle_by_name(held)
        else:
            await self._settle_unread(held, received, stored)

    async def _settle_by_name(self, held: HeldAttempt) -> None:
        """Delete the key that is provably the attempt's: by its name, and by its id alone never.

        A service that was set up anew at the same address may have given the id to another key.
        """
        attempt = held.attempt
        found = (await self._ids_by_name()).get(attempt.name, [])
        known = attempt.received and attempt.received.key_id
        if attempt.nonce is None and known is not None:
            found = [key_id for key_id in found if key_id == known]
        if not found:
            self._settle_missing(held)
        elif attempt.nonce is None and known is None:
            shown = ", ".join(map(str, found))
            self._leave(held, f"has an exact name, which does not prove that it made {shown}")
        else:
            await self._delete(held, *found)

    def _settle_missing(self, held: HeldAttempt) -> None:
        attempt = held.attempt
        if not self._is_own(held):
            self._leave(held, f"is of other credentials ({attempt.scope.account})")
        elif attempt.received is not None:
            held.finish()  # it was there, and somebody has deleted it
        elif time.time() - attempt.begun_at < attempt.seconds + _PATIENCE:
            self._waiting.append(attempt.name)
        else:
            held.finish()

    async def _settle_unread(self, held: HeldAttempt, received: Received, reason: str) -> None:
        """Settle an attempt whose store does not tell whether it holds the secret."""
        ids = await self._ids_by_name()
        if self._is_own(held) and held.attempt.name not in ids:
            held.finish()  # the key is gone, whoever deleted it
        else:
            which = "" if received.key_id is None else f" (id {received.key_id})"
            self._leave(held, f"is not known to have stored its key{which}: {reason}")

    async def _delete(self, held: HeldAttempt, *ids: str | int) -> None:
        try:
            for key_id in ids:
                await recovery.delete(self._keys, key_id, self._budget)
        except AgentKeysError as error:
            why = f"left a key ({ids[0]}) that could not be deleted: {error}"
            self._leave(held, why, "sweep again later, or delete the key")
        else:
            self._deleted.extend(ids)
            held.finish()

    def _is_own(self, held: HeldAttempt) -> bool:
        """Whether these credentials see all that the attempt's could."""
        return held.attempt.scope == self._own

    def _leave(self, held: HeldAttempt, why: str, advice: str = "") -> None:
        find_out = f"delete the key if nobody holds its secret, or else the file {held.path}"
        self._unresolved.append(
            f"the attempt for {mask(held.attempt.name)!r} {why}: {advice or find_out}"
        )

    async def _ids_by_name(self) -> dict[str, list[str | int]]:
        """List the keys, once in a sweep."""
        if self._listed is None:
            self._listed = await recovery.ids_by_name(self._keys, self._budget)
        return self._listed


async def _is_stored(received: Received, seconds: float) -> bool | str:
    """Whether the store holds the secret, or why that cannot be told."""
    try:
        store = open_store(received.store)
        if not store.readable:
            return f"nobody can read {store.describe()}"
        async with asyncio.timeout(None if seconds == math.inf else seconds):
            secret = (await store.read()).secret
    except AgentKeysError as error:
        return str(error)
    except TimeoutError:
        return f"its store did not answer within {seconds:g} s"
    except Exception as error:  # noqa: BLE001  # whatever a store's library raises
        return f"its store cannot be read ({type(error).__name__})"
    return secret is not None and attempts.digest_of(secret) == received.digest
