"""What `issue`, `rotate` and `sweep` return."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs

from agentkeys.keys import Key, Scope
from agentkeys.lifecycle.machine.states import KeyId
from agentkeys.records import Record

__all__ = ["Issued", "Known", "Rotated", "Status", "Swept"]

KeyT = TypeVar("KeyT", bound="Key[Any]")


@attrs.frozen
class Issued(Record, Generic[KeyT]):
    """A key that was issued, and whose secret is in a store.

    Attributes:
        key: the key as it is listed, without its secret.
        store: where the secret lies, in words.
        recovered: the ids of keys that lost answers had left behind, and that were deleted.
    """

    key: KeyT
    store: str
    recovered: tuple[KeyId, ...] = ()


@attrs.frozen
class Swept(Record):
    """What `sweep` found.

    Attributes:
        deleted: the ids of keys that nobody held, and that were deleted.
        stored: the ids of keys whose secrets are where they belong; None for one that is unknown.
        waiting: the names of keys that are not there but may come late: sweep again after ten
            minutes.
        unresolved: the cases that need your decision, one sentence each: also every file and folder
            of entries that could not be looked at, or is not yours alone.
        retired: the ids of keys that others had replaced, and that were deleted.
        retiring: the ids of keys that others have replaced, and that live on for a while.
    """

    deleted: tuple[KeyId, ...] = ()
    stored: tuple[KeyId | None, ...] = ()
    waiting: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    retired: tuple[KeyId, ...] = ()
    retiring: tuple[KeyId, ...] = ()


@attrs.frozen
class Rotated(Record, Generic[KeyT]):
    """A key that has replaced another one.

    Attributes:
        key: the new key, without its secret.
        store: where its secret lies, in words.
        replaced: the key that it replaces. It is alive until then.
        retires_at: when `sweep` may delete that; the time is aware. It is later if it is used.
        rotation: the id of the rotation, as `then` gets it.
        recovered: the ids of keys that lost answers had left behind, and that were deleted.
    """

    key: KeyT
    store: str
    replaced: KeyT
    retires_at: datetime
    rotation: str
    recovered: tuple[KeyId, ...] = ()


@attrs.frozen
class Known(Record):
    """A key that the journal remembers.

    Attributes:
        id: what the journal calls it.
        name: what the caller calls the key.
        key_name: its name on the service.
        key_id: its id; None if no answer has told it yet.
        scope: whose key it is.
        store: the address of the store that holds its secret, or is to hold it; "" for a lease.
        state: how far it has come: "kept", "asking", "denied", "writing", "dropping", "retiring",
            "ousting" or "restoring"; "leased" from the begin of a lease until its key is deleted.
        since: when its secret was stored; None if it is not known to be. The time is aware.
        retires: the id of the key that it has replaced, and that is still there.
        retires_at: when `sweep` may delete that; None while those who use it have not been told.
        digest: the SHA-256 of its secret; empty if that is not known.
    """

    id: str
    name: str
    key_name: str
    key_id: KeyId | None
    scope: Scope
    store: str
    state: str
    since: datetime | None = None
    retires: KeyId | None = None
    retires_at: datetime | None = None
    digest: str = attrs.field(default="", repr=False)


@attrs.frozen
class Status(Record):
    """What the journal remembers.

    Attributes:
        kept: the keys whose secrets are in their stores.
        under_way: what is being issued, or was left on the way.
        retiring: the keys that have replaced others which are still there.
        unreadable: what could not be looked at, and may be one of these: a sentence each.
    """

    kept: tuple[Known, ...] = ()
    under_way: tuple[Known, ...] = ()
    retiring: tuple[Known, ...] = ()
    unreadable: tuple[str, ...] = ()
