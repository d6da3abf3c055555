"""The functions for kept and replaced keys: `status`, `adopt`, `announced`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from agentkeys import arguments
from agentkeys.cancellation import Waiting
from agentkeys.errors import DeadlineExceededError, RotationError
from agentkeys.keys import Key, KeyCollection, Scope, checked_collection
from agentkeys.lifecycle.aborting import claimed
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.driver import drive
from agentkeys.lifecycle.driving.looking import SweepingHands
from agentkeys.lifecycle.driving.making import read
from agentkeys.lifecycle.issuing import checked_store
from agentkeys.lifecycle.journal import Journal, Seen
from agentkeys.lifecycle.journal.ids import fingerprint
from agentkeys.lifecycle.ledger import as_kept
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import Ending
from agentkeys.lifecycle.machine.naming import base_name
from agentkeys.lifecycle.machine.states import (
    Dropping,
    Entry,
    Kept,
    KeyId,
    Ousting,
    Plan,
    Restoring,
    Retiring,
)
from agentkeys.lifecycle.outcomes.issued import lost
from agentkeys.lifecycle.outcomes.results import Known, Status
from agentkeys.lifecycle.remembering import Given, opened, sealed
from agentkeys.masking import mask
from agentkeys.secret import Secret
from agentkeys.stores import Store
from agentkeys.transport.collection import Keys, whose

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentkeys.lifecycle.journal import Owned, Remembered
    from agentkeys.lifecycle.machine.events import Event


_Keys: TypeAlias = KeyCollection[Any, Any, Any]

__all__ = ["adopt", "announced", "forget", "remembered", "status"]

KeyT = TypeVar("KeyT", bound="Key[Any]")
T = TypeVar("T")


async def status(
    keys: _Keys | None = None, *, scope: Scope | None = None, journal: Given = None
) -> Status:
    """Return what the journal keeps: stored keys, unfinished work, and retiring keys.

    It sends no request, and reads no store.

    Args:
        keys: the collection whose keys to return; defaults to all.
        scope: the scope that was passed to `issue`; defaults to ``keys.scope``.
        journal: what remembers the keys, or its address; that of the environment if None.

    Raises:
        ConfigurationError: the place of the journal is not known.
    """
    journal = sealed(journal)
    if keys is not None:
        checked_collection(keys, "status", blocking=False)
        scope = scope or keys.scope
    return await disk.in_thread(partial(remembered, scope, opened(journal)))


def remembered(scope: Scope | None, journal: Journal) -> Status:
    """Return what the journal keeps of a scope, or of all scopes; this waits for the disk."""
    found = journal.remembered(_any if scope is None else scope.is_at, scope)
    entries = [(each, _known(each)) for each in found.entries]
    retiring = [known for _, known in entries if known.retires is not None]
    # The retiring key has its own entry, and is reported with the key that replaces it.
    replaced = {_replaced_by(each) for each, known in entries if known.retires is not None}
    kept = [known for _, known in entries if known.state == "kept" and known.id not in replaced]
    under_way = [known for _, known in entries if known.state != "kept" and known.retires is None]
    return Status(tuple(kept), tuple(under_way), tuple(retiring), found.unreadable)


def _replaced_by(seen: Seen) -> str | None:
    replaces = seen.entry.plan.replaces
    return None if replaces is None else replaces.entry


def _any(_: Scope) -> bool:
    return True


async def _remembered(journal: Journal, scope: Scope, waiting: Waiting) -> Remembered:
    look = partial(journal.remembered, scope.is_at, scope)
    return await disk.in_time(look, waiting.left())


def _known(seen: Seen) -> Known:
    entry = seen.entry
    state, replaces = entry.state, entry.plan.replaces
    retires: KeyId | None = None
    retires_at = since = None
    if replaces is not None and isinstance(state, Retiring | Ousting | Restoring):
        retires = replaces.key_id
    if replaces is not None and isinstance(state, Retiring) and state.announced:
        retires_at = _time(state.since.wall + replaces.grace)
    if isinstance(state, Kept):
        since = _time(state.since.wall)
    return Known(
        id=seen.id,
        name=entry.plan.name,
        key_name=entry.name,
        key_id=entry.key_id,
        scope=entry.plan.scope,
        store=entry.plan.store,
        state=_name_of(entry),
        since=since,
        retires=retires,
        retires_at=retires_at,
        digest=getattr(state, "digest", ""),
    )


def _name_of(entry: Entry) -> str:
    is_leased = isinstance(entry.state, Dropping) and not entry.plan.store
    return "leased" if is_leased else type(entry.state).__name__.lower()


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def adopt(
    keys: KeyCollection[Any, KeyT, Any],
    key_id: KeyId,
    *,
    into: Store | str,
    name: str | None = None,
    timeout: float | None = None,
    scope: Scope | None = None,
    journal: Given = None,
) -> Known:
    """Add a key to the journal that was issued without it, or by hand.

    The store is read and checked: it must hold a secret, and, if the service lists the first
    characters of the key, it must be this key's secret.

    Args:
        keys: the collection of the key.
        key_id: its id.
        into: the store that holds its secret, or the address of that store.
        name: your name for the key, by which it is replaced later; defaults to its name on the
            service, without a nonce.
        timeout: seconds for the whole call; defaults to the client's timeout.
        scope: the scope, as for `issue`; defaults to ``keys.scope``.
        journal: what remembers the keys, or its address; that of the environment if None.

    Raises:
        RotationError: the key is not listed, or the store holds another secret, or none.
        StoreError: the store cannot be read.
        RequestError: the keys could not be listed.
        ConfigurationError, InvalidArgumentError: no request was sent.
    """
    journal = sealed(journal)
    checked_collection(keys, "adopt", blocking=False)
    name = None if name is None else arguments.text("name", name)
    store, at = checked_store(into), opened(journal)
    waiting = Waiting(keys.timeout if timeout is None else arguments.timeout(timeout), grace=0.0)
    with waiting:
        secret = (await _in_time(waiting, read(store))).secret if store.readable else None
        own = await _in_time(waiting, whose(keys, scope or keys.scope, waiting.left()))
        listing = await SweepingHands(keys, own, waiting).listed()
        key = next((each for each in listing.keys if each.id == key_id), None)
        why = _objection(keys, key, store, secret)
        if key is None or why is not None:
            raise RotationError(
                f"the key {key_id} was not adopted: {why}", store=store.address, key_id=key_id
            )
        plan = Plan(own, name or base_name(key.name), store=store.address)
        return _known(await _adopted(at, plan, key, secret, waiting))


def _objection(keys: object, key: Any, store: Store, secret: Secret | None) -> str | None:
    place = store.describe()
    if key is None:
        return "it is not listed here: check its id in the listing of these keys"
    if not store.readable:
        return None
    if secret is None:
        return f"there is no secret in {place}: store its secret there first"
    if isinstance(keys, Keys) and not keys._may_be(key, secret):  # noqa: SLF001
        return (
            f"{place} holds the secret of another key, as the prefixes differ: adopt that"
            " key, or store this key's secret there"
        )
    return None


async def _adopted(
    journal: Journal, plan: Plan, key: Any, secret: Secret | None, waiting: Waiting
) -> Seen:
    """Add the key to the ledger, unless it is in the ledger already."""
    entry = as_kept(plan, key, secret)
    for each in (await _remembered(journal, plan.scope, waiting)).entries:
        if isinstance(each.entry.state, Kept) and fingerprint(each.entry) == fingerprint(entry):
            return each
    entry_id = await disk.in_time(partial(journal.adopt, entry), waiting.left())
    return Seen(entry_id, entry, "")


def forget(scope: Scope, ids: Collection[KeyId], journal: Journal) -> None:
    """Remove deleted keys from the ledger; this waits for the disk.

    A key that is being replaced right now is left to that rotation.
    """
    for each in journal.remembered(scope.is_at, scope).entries:
        if isinstance(each.entry.state, Kept) and each.entry.key_id in ids:
            held = journal.hold(each.id)
            if held is not None:
                held.forget()


async def announced(
    keys: _Keys,
    name: str,
    *,
    into: Store | str | None = None,
    scope: Scope | None = None,
    journal: Given = None,
) -> Known:
    """Record that the users of a replaced key have been told of the new one.

    The grace of the old key begins now.

    Args:
        keys: the collection of the keys.
        name: the name of the key, without the nonce.
        into: the store, or its address; required if keys of that name are replaced in several
            stores.
        scope: the scope that was passed to `rotate`; defaults to ``keys.scope``.
        journal: what remembers the keys, or its address; that of the environment if None.

    Raises:
        RotationError: no rotation waits for an announcement.
        ConfigurationError, InvalidArgumentError: nothing was changed.
    """
    journal = sealed(journal)
    checked_collection(keys, "announced", blocking=False)
    waiting, at = Waiting(keys.timeout, grace=0.0), opened(journal)
    with waiting:
        own = scope or keys.scope
        name = arguments.text("name", name)
        owned = await claimed(at, own, name, into, Retiring, seconds=waiting.left())
        if getattr(owned.entry.state, "announced", True):
            owned.release()
            raise RotationError(f"the users of {mask(name)!r} have been told already", name=name)
        outcome = await drive(owned, events.Announced(), _Idle(), waiting)
    if outcome.ending is Ending.LOST:
        raise lost(outcome)
    return await _known_by(at, owned.id, own, waiting)


class _Idle:
    """Does nothing: the entry stays as it is."""

    async def do(self, owned: Owned, command: object) -> Event:
        """Do nothing more."""
        del owned, command
        return events.CannotList()

    async def lost(self, owned: Owned) -> tuple[Entry | None, str]:
        """Nothing was done that could be undone."""
        return owned.entry, ""


async def _known_by(journal: Journal, entry_id: str, scope: Scope, waiting: Waiting) -> Known:
    found = (await _remembered(journal, scope, waiting)).entries
    return next(_known(each) for each in found if each.id == entry_id)


async def _in_time(waiting: Waiting, work: Coroutine[Any, Any, T]) -> T:
    try:
        return await waiting.result(work)
    except TimeoutError as error:
        own = error if isinstance(error, DeadlineExceededError) else None
    raise own or DeadlineExceededError("the key was not adopted in the time that was left")
