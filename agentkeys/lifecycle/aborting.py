"""`abort`: undo a rotation while the old key still exists."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys import arguments
from agentkeys.cancellation import Waiting
from agentkeys.errors import AgentKeysError, RotationError, StoreError, UncertainStoreError
from agentkeys.keys import KeyCollection, Scope, checked_collection
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.driver import drive
from agentkeys.lifecycle.driving.hands import digest_of
from agentkeys.lifecycle.driving.looking import SweepingHands
from agentkeys.lifecycle.driving.making import store_failure
from agentkeys.lifecycle.driving.undoing import Late, undone
from agentkeys.lifecycle.issuing import checked_store
from agentkeys.lifecycle.journal import Claimed, Journal
from agentkeys.lifecycle.machine import commands, events
from agentkeys.lifecycle.machine.commands import Ending
from agentkeys.lifecycle.machine.states import (
    Dropping,
    Kept,
    KeyId,
    Ousting,
    Restoring,
    Retiring,
    Writing,
)
from agentkeys.lifecycle.outcomes import heard, rotations
from agentkeys.lifecycle.remembering import Given, opened, sealed
from agentkeys.masking import mask
from agentkeys.plain import shown
from agentkeys.secret import Secret
from agentkeys.stores import ANY, Store, VersionedStore, open_store
from agentkeys.transport.collection import Keys

if TYPE_CHECKING:
    from agentkeys.lifecycle.journal import Owned
    from agentkeys.lifecycle.machine.commands import Command
    from agentkeys.lifecycle.machine.events import Event
    from agentkeys.lifecycle.machine.states import Entry


__all__ = ["abort", "claimed"]

_DONE: Final = (Ending.DROPPED, Ending.GONE, Ending.REFUSED)


async def abort(
    keys: KeyCollection[Any, Any, Any],
    name: str,
    *,
    into: Store | str | None = None,
    secret: Secret | str | None = None,
    timeout: float | None = None,
    scope: Scope | None = None,
    journal: Given = None,
) -> tuple[KeyId, ...]:
    """Undo a rotation while the old key still exists; return the ids of the deleted keys.

    If the store was not written yet, the new key is deleted. Otherwise the old secret is written
    back to the store first. A `VersionedStore` keeps the old secret. For any other store you must
    pass it.

    Args:
        keys: the collection of the keys.
        name: the name of the key, without the nonce.
        into: the store, or its address; required if keys of that name are replaced in several
            stores.
        secret: the old secret, if the store holds the new one and keeps no previous version.
        timeout: seconds for the whole call; defaults to the client's timeout.
        scope: the scope that was passed to `rotate`; defaults to ``keys.scope``.
        journal: what remembers the keys, or its address; that of the environment if None.

    Raises:
        RotationError: there is no rotation to undo, the old key is deleted, or its secret is not
            known. The new key works.
        StoreError: the old secret could not be written back. The new key works.
        RequestError: the keys could not be listed.
    """
    journal = sealed(journal)
    checked_collection(keys, "abort", blocking=False)
    name = arguments.text("name", name)
    own, waiting = (
        scope or keys.scope,
        Waiting(keys.timeout if timeout is None else arguments.timeout(timeout)),
    )
    old = None if secret is None else arguments.as_secret(secret, "secret")
    del secret
    at = opened(journal)
    with waiting:
        owned = await claimed(at, own, name, into, seconds=waiting.left())
        hands = RestoringHands(keys, own, waiting, old)
        if not isinstance(owned.entry.state, Retiring | Ousting):
            outcome = await drive(owned, events.Resumed(), hands, waiting)
            if outcome.ending in _DONE:
                return heard.deleted(outcome)
            if not isinstance(owned.entry.state, Retiring):
                raise rotations.not_aborted(outcome)
            owned = await claimed(at, own, name, into, Retiring, seconds=waiting.left())
        try:
            hands.secret = old = await _old_secret(at, owned.entry, hands)
        except BaseException:
            owned.release()
            raise
        outcome = await drive(owned, events.Abort(digest_of(old)), hands, waiting)
        if outcome.ending in _DONE:
            return heard.deleted(outcome)
        raise rotations.not_aborted(outcome)


async def _old_secret(journal: Journal, entry: Entry, hands: RestoringHands) -> Secret:
    """Return the old secret, from the caller or from the store.

    Raises:
        RotationError: the rotation cannot be undone.
        StoreError: the store cannot be read.
    """
    replaces = entry.plan.replaces
    assert replaces is not None  # noqa: S101  # only a rotation gets here
    if isinstance(entry.state, Ousting):
        raise _no_way_back(entry, f"the deletion of the key {replaces.key_id} has begun")
    old = hands.secret or await hands.kept_by_the_store(entry)
    if old is None:
        raise _no_way_back(
            entry,
            "the store does not have the old secret: pass it (secret=..., or on standard input)",
        )
    listing = await hands.listed()
    key = next((each for each in listing.keys if each.id == replaces.key_id), None)
    if key is None:
        raise _no_way_back(entry, f"the key {replaces.key_id} is no longer listed")
    if not await _may_be_of(journal, entry, hands, key, old):
        whose = "the given secret" if hands.secret else "the store's previous value"
        why = f"{whose} is not the secret of the key {replaces.key_id}: pass that (secret=...)"
        raise _no_way_back(entry, why)
    return old


def _no_way_back(entry: Entry, why: str) -> RotationError:
    return RotationError(
        f"the rotation of {mask(entry.plan.name)!r} was not aborted: {why}; the key"
        f" {entry.key_id} works, and its secret is in {entry.plan.store}",
        name=entry.plan.name,
        store=entry.plan.store,
        key_id=entry.key_id,
    )


async def _may_be_of(
    journal: Journal, entry: Entry, hands: RestoringHands, key: Any, secret: Secret
) -> bool:
    """Whether a secret may be that of the replaced key, as far as it can be checked.

    If it were the secret of the new key, the store would hold the secret of a deleted key.
    """
    assert entry.plan.replaces is not None  # noqa: S101  # only a rotation gets here
    digest, state = digest_of(secret), entry.state
    if digest == getattr(getattr(state, "retiring", state), "digest", None):
        return False
    scope = entry.plan.scope
    look = partial(journal.remembered, scope.is_at, scope)
    found = await disk.in_time(look, hands.waiting.left())
    own = (each.entry for each in found.entries if each.id == entry.plan.replaces.entry)
    known = {each.state.digest for each in own if isinstance(each.state, Kept)} - {""}
    if known and digest not in known:
        return False
    keys = hands.keys
    return not isinstance(keys, Keys) or keys._may_be(key, secret)  # noqa: SLF001


async def claimed(
    journal: Journal,
    scope: Scope,
    name: str,
    into: Store | str | None,
    state: type = object,
    *,
    seconds: float,
) -> Owned:
    """Take over the rotation of a key that has come farthest; the caller releases it."""
    store = None if into is None else checked_store(into).address
    claim = partial(journal.claim, scope.is_at, scope)
    claimed = await disk.in_time(claim, seconds, undo=Claimed.release)
    named = [each for each in claimed.entries if each.entry.plan.name == name]
    wanted = [each for each in named if each.entry.plan.replaces and _is(each, state, store)]
    farthest = max(map(_comes, wanted), default=0)
    first = [each for each in wanted if _comes(each) == farthest]
    stores = sorted({each.entry.plan.store for each in first})
    ours = first[0] if len(stores) == 1 else None
    for each in claimed.entries:
        if each is not ours:
            each.release()
    if ours is not None:
        return ours
    if stores:
        which = ", ".join(map(shown, stores))
        said = (
            f"several rotations of {mask(name)!r} are unfinished ({which}): name the store (into)"
        )
    else:
        said = (
            f"no rotation of {mask(name)!r} is unfinished and free to take over: see `agentkeys"
            " status`"
        )
    raise RotationError(said, name=name)


def _is(owned: Owned, state: type, store: str | None) -> bool:
    return isinstance(owned.entry.state, state) and store in {None, owned.entry.plan.store}


def _comes(owned: Owned) -> int:
    """Return how far a rotation has come; its earlier creates may have entries too."""
    match owned.entry.state:
        case Retiring() | Ousting() | Restoring():
            return 2
        case Writing():
            return 1
    return 0


class RestoringHands(SweepingHands):
    """Finishes the work of others, with the secret of the replaced key."""

    def __init__(
        self,
        keys: KeyCollection[Any, Any, Any],
        scope: Scope,
        waiting: Waiting,
        secret: Secret | None,
    ) -> None:
        super().__init__(keys, scope, waiting)
        self.secret = secret
        self._late: Late | None = None

    async def kept_by_the_store(self, entry: Entry) -> Secret | None:
        """Return the old secret, if the store of an entry keeps its previous version.

        Raises:
            StoreError: the store cannot be read.
        """
        store = open_store(entry.plan.store)
        if not isinstance(store, VersionedStore):
            return None
        seconds = self.waiting.half()
        try:
            return (await self.waiting.result(store.previous(), most=seconds)).secret
        except TimeoutError:
            failure = StoreError(
                f"{store.describe()} did not answer within {seconds:.3g} s", store=store.describe()
            )
        except Exception as error:  # noqa: BLE001  # the store may be third-party code, and its error may hold the secret
            failure = store_failure(store, error, "be read")
        raise failure

    async def do(self, owned: Owned, command: Command) -> Event:
        """Run a command; see `driver.Hands`."""
        if isinstance(command, commands.Restore):
            return await self._restore(owned.entry)
        if isinstance(command, commands.Watch):  # an abort deletes no old key
            return events.CannotList()
        return await super().do(owned, command)

    async def _restore(self, entry: Entry) -> Event:
        try:
            store = open_store(entry.plan.store)
        except AgentKeysError as error:
            where = shown(entry.plan.store)
            return events.NotWritten(StoreError(f"the store {where} cannot be opened: {error}"))
        seconds = self.waiting.half()
        try:
            await self.waiting.result(self._restored(store, entry), most=seconds)
        except TimeoutError:
            return events.WriteUnknown(UncertainStoreError(f"it took more than {seconds:.3g} s"))
        except UncertainStoreError as error:
            return events.WriteUnknown(error)
        except Exception as error:  # noqa: BLE001  # the store may be third-party code, and its error may hold the secret
            return events.NotWritten(store_failure(store, error))
        return events.Written()

    async def lost(self, owned: Owned) -> tuple[Entry | None, str]:
        """Put the new secret back if the old one came too late; see `driver.Hands`."""
        if self._late is None:
            return owned.entry, ""
        return await undone(self._late, owned, self.waiting)

    async def _restored(self, store: Store, entry: Entry) -> None:
        assert self.secret is not None  # noqa: S101  # an abort without a secret ends before
        self._late = Late(store, self.secret, None, Restoring, (Dropping, type(None)))
        if entry.plan.write_only or not store.readable:
            await store.write(self.secret, expected=ANY)
            return
        stored = await store.read()
        if stored.secret == self.secret:
            return
        retiring = getattr(entry.state, "retiring", None)
        if stored.secret is None or digest_of(stored.secret) != getattr(retiring, "digest", None):
            raise StoreError("it holds another secret than that of the new key")
        self._late = attrs.evolve(self._late, before=stored.secret)
        await store.write(self.secret, expected=stored.version)
