"""Find the key in a store: from the journal, the listing, and the store's content."""

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
from agentkeys.masking import mask
from agentkeys.plain import shown
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

# In these states the store was not changed: their process is gone and cannot continue, or holds the
# lock.
_HARMLESS: Final = (Asking, Denied, Dropping, Kept)


@attrs.frozen
class Evidence(Generic[KeyT]):
    """All that is known of a key that is to be replaced.

    Attributes:
        plan: the plan of the new key.
        remembered: the journal's entries for this place.
        listing: the service's listing of this place.
        stored: the content of the store; None if it is write-only.
    """

    plan: Plan
    remembered: Remembered
    listing: Listing[KeyT]
    stored: Stored | None

    @property
    def secret(self) -> Secret | None:
        """The secret in the store, if the store holds one and can be read."""
        return None if self.stored is None else self.stored.secret

    def key(self, replaces: KeyId | None) -> tuple[KeyT, Seen | None]:
        """Return the key that is to be replaced, and its entry in the ledger if there is one.

        Args:
            replaces: the id of the key, if the caller gave it.

        Raises:
            RotationError: the key is not known, or does not exist.
            JournalError: an entry that may name it cannot be read.
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
                " a new key, and overwrite the secret in the store (replace=True, or --replace)"
            )
        return key, held or self._entry_of(key_id)

    def _held(self, replaces: KeyId | None) -> Seen | None:
        """Return the ledger's entry of the key whose secret the store holds."""
        ours = [each for each in self.kept() if each.entry.plan.store == self.plan.store]
        if self.stored is None:  # the last one that was stored, if there are several
            named = [each for each in ours if each.entry.plan.name == self.plan.name]
            return max(named, key=_since, default=None) if replaces is None else None
        digest = None if self.secret is None else digest_of(self.secret)
        held = next((each for each in ours if _digest(each) == digest), None)
        if held is None and ours and replaces is None:
            what = "no secret" if self.secret is None else "another secret than the journal says"
            raise self._error(f"holds {what}, so its key is not known: {_SAY_IT}")
        if held is not None and held.entry.plan.name != self.plan.name:
            raise self._error(f"holds the secret of {mask(held.entry.plan.name)!r}: use that name")
        return held

    def _id_of(self, held: Seen) -> KeyId | None:
        """Return the id of a key; if no answer had it, find it by a name with a nonce."""
        entry = held.entry
        if entry.key_id is not None or entry.plan.exact:
            return entry.key_id
        return next((each.id for each in self.listing.keys if each.name == entry.name), None)

    def last_use_of_the_replaced(self, entry: Entry) -> float | None:
        """Return when the key that an entry replaces was last used, in seconds since 1970."""
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
        return self._error(f"has no entry in the journal: {_SAY_IT}; {hint}")

    def _error(self, why: str) -> RotationError:
        name, store = self.plan.name, self.plan.store
        said = f"the key {mask(name)!r} was not replaced, and nothing was changed: {store} {why}"
        return RotationError(said, name=name, store=store)

    def options(self, keys: object, key: KeyT) -> dict[str, Any]:
        """Return the arguments for the new key, so that it may do no more than *key*.

        Raises:
            RotationError: the store cannot hold the secret of that key.
            InvalidArgumentError: no new key can have these limits.
        """
        if not isinstance(keys, Keys):
            return {}
        if self.secret is not None and not keys._may_be(key, self.secret):  # noqa: SLF001
            raise self._error(f"holds another secret than that of the key {key.id}: {_SAY_IT}")
        return keys._inherited(key)  # noqa: SLF001


_SAY_IT: Final = "give the id of the key to replace (replaces=ID, or --replaces ID)"


def _digest(seen: Seen) -> str:
    return getattr(seen.entry.state, "digest", "")


def _since(seen: Seen) -> float:
    state = seen.entry.state
    return state.since.wall if isinstance(state, Kept) else 0.0


def as_kept(plan: Plan, key: Key[Any], secret: Secret | None) -> Entry:
    """Return an entry for a key without one: it was issued without the journal, or by hand."""
    plan = attrs.evolve(plan, exact=not is_made_of(key.name, plan.name), replaces=None)
    digest = "" if secret is None else digest_of(secret)
    return Entry(plan, key.name, Kept(key.id, digest, now()))


def replaced_since(before: Remembered, known: Evidence[Any]) -> KeyId | None:
    """Return the id of a key that the store held by the ledger *before*, and that no longer exists.

    Another process has replaced it while the store and the keys were read.
    """
    left = {each.id for each in known.remembered.entries}
    for each in before.entries:
        was_here = each.entry.plan.store == known.plan.store and isinstance(each.entry.state, Kept)
        if was_here and each.id not in left:
            return each.entry.key_id
    return None


def rotation_of(remembered: Remembered, plan: Plan, key_id: KeyId | None) -> Seen | None:
    """Return the entry that already replaces that key, or a key in the same store."""
    for each in remembered.entries:
        replaces = each.entry.plan.replaces
        if replaces is None or isinstance(each.entry.state, _HARMLESS):
            continue
        if replaces.key_id == key_id or each.entry.plan.store == plan.store:
            return each
    return None


def is_replaced(remembered: Remembered, key_id: KeyId) -> bool:
    """Whether another key has replaced that one, and that one was deleted."""
    plans = (each.entry.plan for each in remembered.entries if isinstance(each.entry.state, Kept))
    return any(plan.replaces is not None and plan.replaces.key_id == key_id for plan in plans)


async def check_elsewhere(known: Evidence[Any], key_id: KeyId) -> None:
    """Check that no other store holds the key's secret, because it would not be replaced there.

    Raises:
        RotationError: by the ledger another store holds it; that store was read, or cannot be read.
    """
    own = known.plan
    digest = "" if known.secret is None else digest_of(known.secret)
    for each in known.kept():
        there = each.entry.plan.store
        is_elsewhere = each.entry.key_id == key_id and there != own.store
        # A service that starts anew may reuse ids, but not secrets.
        is_same = not digest or _digest(each) in {"", digest}
        if is_elsewhere and is_same and await _may_hold(there, _digest(each)):
            raise RotationError(
                f"the key {key_id} of {mask(own.name)!r} was not replaced, and nothing was changed:"
                f" its secret is in {shown(there)} too, and would stop working there: give that"
                " place a key of its own, or remove the secret there",
                name=own.name,
                store=own.store,
                key_id=key_id,
            )


async def _may_hold(address: str, digest: str) -> bool:
    """Whether a store holds a secret, or may hold it because it cannot be read."""
    try:
        secret = (await look_into(open_store(address))).secret
    except Exception:  # noqa: BLE001  # the store may be third-party code
        return True
    return secret is not None and digest in {"", digest_of(secret)}


def check_who_signs_in(keys: object, plan: Plan, key: Any, secret: Secret | None) -> None:
    """Check that a rotation does not lock its own client out.

    A client may replace the key that it uses as its token only if it reads the token from that
    store.

    Raises:
        RotationError: the client would be locked out.
    """
    if not isinstance(keys, Keys):
        return
    token = keys._credentials.current()  # noqa: SLF001
    if token is None or reads_its_token_from(keys, plan.store):
        return
    if secret is not None:
        is_own = token == secret
    else:  # only the prefix can show it
        is_own = bool(getattr(key, "prefix", "")) and keys._may_be(key, token)  # noqa: SLF001
    if is_own:
        raise RotationError(
            f"this client uses the key {key.id} as its token, and would lock itself out: give it"
            f" credentials that are read from the store: StoredToken({plan.store!r}), or, in the"
            " environment, a variable that ends in _FROM and holds that address",
            name=plan.name,
            store=plan.store,
            key_id=key.id,
        )
