"""`rotate`: a key is replaced by another one, and lives on until that is proven and known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from agentkeys import arguments
from agentkeys.errors import AgentKeysError
from agentkeys.keys import Key, KeyCollection, NewKey, Scope, checked_collection
from agentkeys.lifecycle.driving import callbacks, disk
from agentkeys.lifecycle.driving.callbacks import Then, Verify
from agentkeys.lifecycle.driving.making import read
from agentkeys.lifecycle.driving.trying import RotatingHands, Wanted
from agentkeys.lifecycle.issuing import Issuing, checked_store
from agentkeys.lifecycle.journal import Owned
from agentkeys.lifecycle.ledger import (
    Evidence,
    as_kept,
    check_elsewhere,
    check_who_signs_in,
    is_replaced,
    replaced_since,
    rotation_of,
)
from agentkeys.lifecycle.machine.states import KeyId, Plan, Replaced
from agentkeys.lifecycle.outcomes import rotations
from agentkeys.lifecycle.outcomes.results import Rotated
from agentkeys.stores import ANY, Store
from agentkeys.stores.contract.protocol import late_write

if TYPE_CHECKING:
    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.driving.making import IssuingHands
    from agentkeys.lifecycle.journal import Remembered

__all__ = ["LONGEST_IN_GRACES", "rotate"]

KeyT = TypeVar("KeyT", bound="Key[Any]")

LONGEST_IN_GRACES: Final = 7
"""For how many graces a key may be used on, before a person must decide."""


async def rotate(
    keys: KeyCollection[Any, KeyT, NewKey[Any]],
    name: str,
    *,
    into: Store | str,
    grace: float | timedelta = 86400.0,
    max_grace: float | timedelta | None = None,
    replaces: KeyId | None = None,
    verify: Verify | None = None,
    verify_within: float | timedelta = 30.0,
    then: Then | None = None,
    timeout: float | None = None,
    scope: Scope | None = None,
) -> Rotated[KeyT]:
    """Replace a key by a new one of the same scope and permissions.

    In this order, and each step is noted before it is taken: the new key is made, its secret is
    tried, put into the store in the place of the old one, and *then* is called. The old key lives
    on for its grace; whoever calls `sweep` after that deletes it. If this process dies on the way,
    `sweep` goes on from there: before the store was written the new key is deleted, and the old one
    stays in its place; after that everything goes forward.

    Args:
        keys: where the keys are, e.g. ``agentry.inbox("support@acme.to").api_keys``.
        name: what the key was called when it was issued or adopted, without the nonce.
        into: the store that holds its secret, or the address of that store.
        grace: seconds for which the old key lives on, after everybody has been told; 0 deletes it
            at once. Where the service tells of uses, each one begins it anew.
        max_grace: seconds after which a key that is used still is a matter for you; seven graces if
            None.
        replaces: the id of the old key, if the journal does not know it.
        verify: tries the new secret: a coroutine function or a function of a `Secret`, which raises
            or returns False if it does not work. If None, a key of Agentry lists the keys of its
            scope, and one of Agentity is not tried, for its documentation names no such call.
        verify_within: seconds for which that is tried again.
        then: tells whoever uses the key: a coroutine function or a function, of an `Announcement`
            or of nothing. It is called until it has succeeded once, by `sweep` as well, and the old
            key does not retire before that.
        timeout: seconds for all of it; the client's own and *verify_within* if None.
        scope: as it was given to `issue`; ``keys.scope`` if None.

    Raises:
        RotationInProgressError: this key is being replaced already, or one before it still retires.
        RotationError: which key is to be replaced cannot be told, and nothing was changed. Or: the
            new key is in its place, but *then* has failed.
        StoreError, OrphanKeyError, RequestError: as `issue` does. The old key is in its place.
        JournalError, ConfigurationError, InvalidArgumentError: nothing was sent.

    """
    checked_collection(keys, "rotate", blocking=False)
    name = arguments.text("name", name)
    lasts = arguments.duration("grace", grace)
    longest = (
        LONGEST_IN_GRACES * lasts
        if max_grace is None
        else arguments.duration("max_grace", max_grace)
    )
    within = arguments.duration("verify_within", verify_within)
    rotating = Rotating(
        keys,
        Plan(scope or keys.scope, name),
        checked_store(into),
        wanted=Wanted(
            lasts,
            longest,
            replaces,
            callbacks.checked("verify", verify),
            within,
            callbacks.checked("then", then),
        ),
        seconds=keys.timeout + within if timeout is None else arguments.timeout(timeout),
    )
    return await rotating.rotated()


@attrs.frozen
class _Old(Generic[KeyT]):
    """The key that is replaced, and its entry, which nobody else may replace meanwhile."""

    key: KeyT
    held: Owned


class Rotating(Issuing[KeyT]):
    """One call of `rotate`: it issues a key that replaces another one."""

    def __init__(
        self,
        keys: KeyCollection[Any, KeyT, NewKey[Any]],
        plan: Plan,
        store: Store,
        *,
        wanted: Wanted,
        seconds: float,
    ) -> None:
        plan = attrs.evolve(plan, store=store.address, late_write=late_write(store))
        super().__init__(keys, plan, store, expected=ANY, options={}, seconds=seconds)
        self._wanted = wanted
        self._old: _Old[KeyT] | None = None

    async def rotated(self) -> Rotated[KeyT]:
        """Do all of it."""
        try:
            outcome, key = await self._ended()
        finally:
            if self._old is not None:
                self._old.held.release()
        place = self._store.describe()
        failure = rotations.untold(outcome, place)
        if failure is not None:
            raise failure
        assert self._old is not None  # noqa: S101  # or nothing would have been made
        retires_at = datetime.now(UTC) + timedelta(seconds=self._wanted.grace)
        return Rotated(key, place, self._old.key, retires_at, outcome.id, self._recovered)

    async def _looked_around(self) -> IssuingHands[KeyT]:
        await self._sweep()
        await self._see_the_store()
        before = await self._remembered()
        stored = await read(self._store) if self._store.readable else None
        await self._see_whose()
        hands: RotatingHands[KeyT] = RotatingHands(
            self._keys,
            self._plan.scope,
            self._waiting,
            store=self._store,
            expected=ANY if stored is None else stored.version,
            shelter=self._shelter,
            options=self._options,
            wanted=self._wanted,
        )
        listing = await hands.listed()
        self._waiting.raise_cancellation()
        known = Evidence(self._plan, await self._remembered(), listing, stored)
        self._check_nobody_does(known)
        if (gone := replaced_since(before, known)) is not None:
            raise rotations.in_progress(self._plan, gone)
        old, entry = known.key(self._wanted.replaces)
        self._check_nobody_does(known, old.id)
        self._options.update(known.options(self._keys, old))
        check_who_signs_in(self._keys, self._plan, old, known.secret)
        await check_elsewhere(known, old.id)
        self._old = await self._held(known, old, None if entry is None else entry.id)
        return hands

    async def _remembered(self) -> Remembered:
        return await disk.in_thread(partial(self._journal.remembered, self._plan.scope.is_at))

    def _explained(self, outcome: Outcome) -> AgentKeysError:
        error = super()._explained(outcome)
        if self._old is not None:
            rotations.add_what_works(error, self._old.key.id, self._store.describe())
        return error

    def _check_nobody_does(self, known: Evidence[KeyT], old: KeyId | None = None) -> None:
        other = rotation_of(known.remembered, self._plan, old)
        if other is not None:
            used = known.last_use_of_the_replaced(other.entry)
            raise rotations.in_progress(self._plan, old, other.entry, used)

    async def _held(self, known: Evidence[KeyT], old: KeyT, entry_id: str | None) -> _Old[KeyT]:
        """Take over the entry of the key that is replaced, so that nobody else replaces it."""
        is_new = entry_id is None
        if entry_id is None:
            entry = as_kept(self._plan, old, known.secret)
            entry_id = await disk.in_thread(partial(self._journal.adopt, entry))
        held = await disk.in_thread(partial(self._journal.hold, entry_id), undo=_release)
        if held is None:
            raise rotations.in_progress(self._plan, old.id)
        try:
            remembered = await self._remembered()
            self._check_nobody_does(attrs.evolve(known, remembered=remembered), old.id)
        except BaseException:
            held.release()
            raise
        if is_new and is_replaced(remembered, old.id):  # since it was listed
            held.forget()
            raise rotations.in_progress(self._plan, old.id)
        wanted = self._wanted
        replaced = Replaced(
            old.id, old.name, entry_id, wanted.grace, wanted.longest, wanted.then is not None
        )
        self._plan = attrs.evolve(self._plan, replaces=replaced)
        return _Old(old, held)


def _release(held: Owned | None) -> None:
    if held is not None:
        held.release()
