"""`sweep`: finish what processes that died, and answers that were lost, have left behind."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys.errors import AgentKeysError
from agentkeys.keys import KeyCollection, Scope
from agentkeys.lifecycle import attempts, disk, entries, looking, moments, recovery, wording
from agentkeys.lifecycle.attempts import Claimed
from agentkeys.lifecycle.budget import Budget
from agentkeys.lifecycle.looking import CannotLook, Holds, Lacks
from agentkeys.secret import mask
from agentkeys.transport import check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agentkeys.lifecycle.attempts import HeldAttempt
    from agentkeys.lifecycle.entries import Received

    Keys = KeyCollection[Any, Any, Any]

__all__ = ["Swept", "sweep", "sweep_own"]

logger: Final = logging.getLogger("agentkeys")

_OTHERS: Final = (
    "was begun with other credentials ({}), and these do not show that they are of the same account"
)


@attrs.frozen
class Swept:
    """What `sweep` found.

    Attributes:
        deleted: the ids of keys that nobody held, and that were deleted.
        stored: the ids of keys whose secrets are where they belong; None for one that is unknown.
        waiting: the names of keys that are not there but may come late: sweep again after ten
            minutes.
        unresolved: the cases that need your decision, one sentence each: also every file and folder
            of attempts that could not be looked at, or is not yours alone.
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

    If an attempt did not receive its answer, the key whose name ends in its nonce is deleted. If
    it did, that key is deleted if the store never held its secret. If that cannot be known, as
    the store is absent or another one, the key stays, and `unresolved` has a sentence about it.
    Attempts of processes that live are left alone. If there is nothing to sweep, no request is
    sent.

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
        swept = await _swept(keys, scope, scope.is_of, Budget(budget.half()))
    except AgentKeysError as error:
        logger.debug("the sweep before issuing a key ended early: %s", error)
    else:
        for sentence in swept.unresolved:
            logger.warning("%s", sentence)


async def _swept(
    keys: Keys, own: Scope, is_wanted: Callable[[Scope], bool], budget: Budget
) -> Swept:
    sweeping = _Sweeping(keys, own, budget)
    claimed = await disk.in_thread(lambda: attempts.claim(is_wanted), undo=Claimed.release)
    try:
        for each in claimed.held:
            await sweeping.settle(each)
    finally:
        claimed.release()
    return sweeping.swept(claimed.unreadable)


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

    def swept(self, unreadable: Iterable[str]) -> Swept:
        return Swept(
            tuple(self._deleted),
            tuple(self._stored),
            tuple(self._waiting),
            (*self._unresolved, *unreadable),
        )

    async def settle(self, held: HeldAttempt) -> None:
        """Finish one attempt, or say why not."""
        received = held.attempt.received
        if received is None:
            await self._settle_by_name(held)
            return
        match await looking.look(received, self._budget.half()):
            case Holds():
                self._stored.append(received.key_id)
                held.finish()
            case Lacks():
                await self._settle_by_name(held)
            case CannotLook() as unknown:
                await self._settle_unread(held, received, unknown)

    async def _settle_by_name(self, held: HeldAttempt) -> None:
        """Delete the key that is provably the attempt's: by the nonce in its name alone.

        A service that was set up anew at the same address may have given the id to another key,
        and of an exact name there may be several.
        """
        attempt = held.attempt
        found = (await self._ids_by_name()).get(attempt.name, [])
        known = attempt.received and attempt.received.key_id
        if attempt.nonce is None and known is not None:
            found = [key_id for key_id in found if key_id == known]
        if not found:
            await self._settle_missing(held)
        elif attempt.nonce is None:
            shown = ", ".join(map(str, found))
            self._leave(held, f"has an exact name, which does not prove that it made {shown}")
        else:
            await self._delete(held, *found)

    async def _settle_missing(self, held: HeldAttempt) -> None:
        attempt = held.attempt
        if not self._is_own(held):
            why = _OTHERS.format(wording.shown(attempt.scope.account))
            path = wording.shown(held.path)
            self._leave(held, why, f"sweep with those, or else delete the file {path}")
        elif attempt.received is not None:
            held.finish()  # it was there, and somebody has deleted it
        elif await self._may_come_late(held):
            self._waiting.append(attempt.name)
        else:
            held.finish()

    async def _may_come_late(self, held: HeldAttempt) -> bool:
        may = entries.may_come_late(held.attempt, moments.now())
        if may is not None:
            return may
        with suppress(OSError):  # or the next sweep counts from then
            await disk.in_thread(held.count_from_now)
        return True

    async def _settle_unread(
        self, held: HeldAttempt, received: Received, unknown: CannotLook
    ) -> None:
        """Settle an attempt whose store does not tell whether it holds the secret."""
        ids = await self._ids_by_name()
        if self._is_own(held) and held.attempt.name not in ids:
            held.finish()  # the key is gone, whoever deleted it
        else:
            which = "" if received.key_id is None else f" (id {received.key_id})"
            why = f"is not known to have stored its key{which}: {unknown.why}"
            self._leave(held, why, unknown.remedy + self._find_out(held))

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
        # After a login, which may say by what other name the account is known.
        return held.attempt.scope.is_of(self._own.named_as(self._keys.scope))

    def _leave(self, held: HeldAttempt, why: str, advice: str = "") -> None:
        self._unresolved.append(
            f"the attempt for {mask(held.attempt.name)!r} {why}: {advice or self._find_out(held)}"
        )

    @staticmethod
    def _find_out(held: HeldAttempt) -> str:
        path = wording.shown(held.path)
        return f"delete the key if nobody holds its secret, or else the file {path}"

    async def _ids_by_name(self) -> dict[str, list[str | int]]:
        """List the keys, once in a sweep."""
        if self._listed is None:
            self._listed = await recovery.ids_by_name(self._keys, self._budget)
        return self._listed
