"""`rotate`: replace a key; the old key stays valid until the new one is verified and announced."""

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
from agentkeys.lifecycle.remembering import Given, opened, sealed
from agentkeys.stores import ANY, Store
from agentkeys.stores.contract.protocol import late_write

if TYPE_CHECKING:
    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.driving.making import IssuingHands
    from agentkeys.lifecycle.journal import Journal, Remembered

__all__ = ["LONGEST_IN_GRACES", "rotate"]

KeyT = TypeVar("KeyT", bound="Key[Any]")

LONGEST_IN_GRACES: Final = 7
"""How many graces a key may stay in use before a person must decide."""


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
    journal: Given = None,
) -> Rotated[KeyT]:
    """Replace a key by a new one of the same scope and permissions.

    Each step is noted in the journal before it is taken: the new key is created, its secret is
    verified and written to the store over the old one, and *then* is called. The old key stays
    valid for its grace; the first `sweep` after that deletes it. If this process dies, `sweep`
    continues: if the store was not written yet, it deletes the new key and keeps the old one;
    otherwise it completes the rotation.

    Args:
        keys: the collection of the keys, e.g. ``agentry.inbox("support@acme.to").api_keys``.
        name: the name under which the key was issued or adopted, without the nonce.
        into: the store that holds its secret, or the address of that store.
        grace: seconds for which the old key stays valid after the announcement; 0 deletes it
            immediately. If the service reports the last use, each use begins the grace anew.
        max_grace: seconds after which a key that is still in use needs your decision; defaults to
            seven graces.
        replaces: the id of the old key, if the journal has no entry of it.
        verify: verifies the new secret: a function or coroutine function of a `Secret`, which
            raises or returns False if the secret does not work. By default, a key of Agentry lists
            the keys of its scope; a key of Agentity is not verified, because no documented call
            accepts it.
        verify_within: seconds for which a failed verification is retried.
        then: announces the new key to its users: a function or coroutine function that takes an
            `Announcement` or no argument. It is called, by `sweep` as well, until it has succeeded
            once; the old key does not retire before that.
        timeout: seconds for the whole call; defaults to the client's timeout plus *verify_within*.
        scope: the scope that was passed to `issue`; defaults to ``keys.scope``.
        journal: what remembers the keys, or its address; that of the environment if None.

    Raises:
        RotationInProgressError: this key is being replaced already, or its last replacement is
            unfinished.
        RotationError: the key to replace is not known, and nothing was changed. Or: the new key
            works and is stored, but *then* has failed.
        StoreError, OrphanKeyError, RequestError: as from `issue`. The old key still works.
        JournalError, ConfigurationError, InvalidArgumentError: no request was sent.
    """
    journal = sealed(journal)
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
        journal=opened(journal),
    )
    return await rotating.rotated()


@attrs.frozen
class _Old(Generic[KeyT]):
    """The key that is replaced, and its entry, which this rotation owns."""

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
        journal: Journal,
    ) -> None:
        plan = attrs.evolve(plan, store=store.address, late_write=late_write(store))
        super().__init__(
            keys, plan, store, expected=ANY, options={}, seconds=seconds, journal=journal
        )
        self._wanted = wanted
        self._old: _Old[KeyT] | None = None

    async def rotated(self) -> Rotated[KeyT]:
        """Run the whole call."""
        try:
            outcome, key = await self._ended()
        finally:
            if self._old is not None:
                self._old.held.release()
        place = self._store.describe()
        failure = rotations.untold(outcome, place)
        if failure is not None:
            raise failure
        assert self._old is not None  # noqa: S101  # a rotation without it fails before
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
        hands.before = None if stored is None else stored.secret
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
        scope = self._plan.scope
        return await disk.in_thread(partial(self._journal.remembered, scope.is_at, scope))

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
        """Take over the entry of the old key, so that no other process replaces it."""
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
