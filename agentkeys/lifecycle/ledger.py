"""Which key a store holds: what the journal remembers, what is listed, and what is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import attrs

from agentkeys.errors import JournalError, RotationError
from agentkeys.keys import Key
from agentkeys.lifecycle.driving.hands import Listing, digest_of, reads_its_token_from
from agentkeys.lifecycle.journal import Remembered, Seen
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.naming import is_made_of
from agentkeys.lifecycle.machine.states import Asking, Denied, Dropping, Entry, Kept, KeyId, Plan
from agentkeys.lifecycle.machine.wording import shown
from agentkeys.masking import mask
from agentkeys.secret import Secret
from agentkeys.stores import open_store
from agentkeys.stores.contract import Stored
from agentkeys.stores.contract.protocol import look_into
from agentkeys.transport.collection import Keys

__all__ = [
    "Evidence",
    "as_kept",
    "check_elsewhere",
    "check_who_signs_in",
    "is_replaced",
    "replaced_since",
    "rotation_of",
]

KeyT = TypeVar("KeyT", bound="Key[Any]")

# In these the store was not touched: whoever began it is gone, and cannot go on, or has the lock.
_HARMLESS: Final = (Asking, Denied, Dropping, Kept)


@attrs.frozen
class Evidence(Generic[KeyT]):
    """All that is known of a key that is to be replaced.

    Attributes:
        plan: of the new key.
        remembered: what the journal remembers of the place.
        listing: what the service lists there.
        stored: what the store holds; None if nobody can read it.
    """

    plan: Plan
    remembered: Remembered
    listing: Listing[KeyT]
    stored: Stored | None

    @property
    def secret(self) -> Secret | None:
        """The secret that the store holds, if it holds one and can be read."""
        return None if self.stored is None else self.stored.secret

    def key(self, replaces: KeyId | None) -> tuple[KeyT, Seen | None]:
        """Return the key that is to be replaced, and its entry in the ledger if it has one.

        Args:
            replaces: the id of the key, if the caller says it.

        Raises:
            RotationError: it cannot be told, or is not there.
            JournalError: what might tell it cannot be read.

        """
        held = self._held(replaces)
        kept_id = None if held is None else self._id_of(held)
        key_id = replaces if kept_id is None else kept_id
        if key_id is None:
            raise self._untold()
        if replaces not in {None, key_id}:
            raise self._error(f"holds the secret of the key {key_id}, and not that of {replaces}")
        key = next((each for each in self.listing.keys if each.id == key_id), None)
        if key is None:
            raise self._error(
                f"held the key {key_id}, which is not listed, so there is nothing to replace: issue"
                " a new one, and replace what the store holds (replace=True, or --replace)"
            )
        return key, held or self._entry_of(key_id)

    def _held(self, replaces: KeyId | None) -> Seen | None:
        """Return the ledger's entry of the key that the store holds."""
        ours = [each for each in self.kept() if each.entry.plan.store == self.plan.store]
        if self.stored is None:  # the last one that was put there, if there are several
            named = [each for each in ours if each.entry.plan.name == self.plan.name]
            return max(named, key=_since, default=None) if replaces is None else None
        digest = None if self.secret is None else digest_of(self.secret)
        held = next((each for each in ours if _digest(each) == digest), None)
        if held is None and ours and replaces is None:
            what = "no secret" if self.secret is None else "another secret than was put there"
            raise self._error(f"holds {what}, so it is not known which key that is of: {_SAY_IT}")
        if held is not None and held.entry.plan.name != self.plan.name:
            raise self._error(f"holds the secret of {mask(held.entry.plan.name)!r}: give that name")
        return held

    def _id_of(self, held: Seen) -> KeyId | None:
        """Return the id of a key; if no answer has told it, the name does if it has a nonce."""
        entry = held.entry
        if entry.key_id is not None or entry.plan.exact:
            return entry.key_id
        return next((each.id for each in self.listing.keys if each.name == entry.name), None)

    def last_use_of_the_replaced(self, entry: Entry) -> float | None:
        """Return when the key was last used that an entry replaces, in seconds since 1970."""
        replaces = entry.plan.replaces
        keys = [key for key in self.listing.keys if replaces and key.id == replaces.key_id]
        used: datetime | None = getattr(keys[0], "used_at", None) if keys else None
        return None if used is None else used.timestamp()

    def kept(self) -> list[Seen]:
        """Return the entries of the ledger."""
        return [each for each in self.remembered.entries if isinstance(each.entry.state, Kept)]

    def _entry_of(self, key_id: KeyId | None) -> Seen | None:
        return next((each for each in self.kept() if each.entry.key_id == key_id), None)

    def _untold(self) -> RotationError | JournalError:
        if self.remembered.unreadable:
            return JournalError("; ".join(self.remembered.unreadable))
        base = self.plan.name
        named = [
            f"{each.id} ({mask(each.name)})"
            for each in self.listing.keys
            if each.name == base or is_made_of(each.name, base)
        ]
        hint = f"it may be {' or '.join(named)}" if named else "no key of that name is listed"
        return self._error(f"is not remembered to hold a key: {_SAY_IT}; {hint}")

    def _error(self, why: str) -> RotationError:
        name, store = self.plan.name, self.plan.store
        said = f"the key {mask(name)!r} was not replaced, and nothing was changed: {store} {why}"
        return RotationError(said, name=name, store=store)

    def options(self, keys: object, key: KeyT) -> dict[str, Any]:
        """Return what the new key must be given, so that it may do no more than *key*.

        Raises:
            RotationError: the store cannot hold that key.
            InvalidArgumentError: there is no such new key.

        """
        if not isinstance(keys, Keys):
            return {}
        if self.secret is not None and not keys._may_be(key, self.secret):  # noqa: SLF001
            raise self._error(f"holds another secret than that of the key {key.id}: {_SAY_IT}")
        return keys._inherited(key)  # noqa: SLF001


_SAY_IT: Final = "say which key is replaced (replaces=ID, or --replaces ID)"


def _digest(seen: Seen) -> str:
    return getattr(seen.entry.state, "digest", "")


def _since(seen: Seen) -> float:
    state = seen.entry.state
    return state.since.wall if isinstance(state, Kept) else 0.0


def as_kept(plan: Plan, key: Key[Any], secret: Secret | None) -> Entry:
    """Return the ledger's entry of a key that has none: it was issued before, or by hand."""
    plan = attrs.evolve(plan, exact=not is_made_of(key.name, plan.name), replaces=None)
    digest = "" if secret is None else digest_of(secret)
    return Entry(plan, key.name, Kept(key.id, digest, now()))


def replaced_since(before: Remembered, known: Evidence[Any]) -> KeyId | None:
    """Return the id of a key that the store held by the ledger *before*, and that is there no more.

    Somebody else has replaced it while the store and the keys were looked at.
    """
    left = {each.id for each in known.remembered.entries}
    for each in before.entries:
        was_here = each.entry.plan.store == known.plan.store and isinstance(each.entry.state, Kept)
        if was_here and each.id not in left:
            return each.entry.key_id
    return None


def rotation_of(remembered: Remembered, plan: Plan, key_id: KeyId | None) -> Seen | None:
    """Return the entry of a key that replaces that one, or one in that store, already."""
    for each in remembered.entries:
        replaces = each.entry.plan.replaces
        if replaces is None or isinstance(each.entry.state, _HARMLESS):
            continue
        if replaces.key_id == key_id or each.entry.plan.store == plan.store:
            return each
    return None


def is_replaced(remembered: Remembered, key_id: KeyId) -> bool:
    """Whether another key has replaced that one, which is gone."""
    plans = (each.entry.plan for each in remembered.entries if isinstance(each.entry.state, Kept))
    return any(plan.replaces is not None and plan.replaces.key_id == key_id for plan in plans)


async def check_elsewhere(known: Evidence[Any], key_id: KeyId) -> None:
    """See that no other store holds the key's secret, which would not be replaced there.

    Raises:
        RotationError: by the ledger one does, and it was read, or cannot be.

    """
    own = known.plan
    digest = "" if known.secret is None else digest_of(known.secret)
    for each in known.kept():
        there = each.entry.plan.store
        is_elsewhere = each.entry.key_id == key_id and there != own.store
        # A service that begins anew gives its ids again, but no secret.
        is_same = not digest or _digest(each) in {"", digest}
        if is_elsewhere and is_same and await _may_hold(there, _digest(each)):
            raise RotationError(
                f"the key {key_id} of {mask(own.name)!r} was not replaced, and nothing was changed:"
                f" its secret is in {shown(there)} too, and would be dead there: give that place a"
                " key of its own, or remove it from there",
                name=own.name,
                store=own.store,
                key_id=key_id,
            )


async def _may_hold(address: str, digest: str) -> bool:
    """Whether a store holds a secret, as far as can be told."""
    try:
        secret = (await look_into(open_store(address))).secret
    except Exception:  # noqa: BLE001  # a store may be anybody's
        return True
    return secret is not None and digest in {"", digest_of(secret)}


def check_who_signs_in(keys: object, plan: Plan, key: Any, secret: Secret | None) -> None:
    """See that a client does not lock itself out.

    It may replace the key that it signs in with only if it reads that from the very store.

    Raises:
        RotationError: it would.

    """
    if not isinstance(keys, Keys):
        return
    token = keys._credentials.current()  # noqa: SLF001
    if token is None or reads_its_token_from(keys, plan.store):
        return
    if secret is not None:
        is_own = token == secret
    else:  # only how it begins can tell
        is_own = bool(getattr(key, "prefix", "")) and keys._may_be(key, token)  # noqa: SLF001
    if is_own:
        raise RotationError(
            f"this client signs in with the key {key.id}, and would lock itself out: give it"
            f" credentials that are read from the store: StoredToken({plan.store!r}), or, in the"
            " environment, a variable that ends in _FROM and holds that address",
            name=plan.name,
            store=plan.store,
            key_id=key.id,
        )
