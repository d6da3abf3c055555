"""The results of `issue`, `rotate`, `sweep` and `status`."""

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
        key: the key, without its secret.
        store: the place of the secret, in words.
        recovered: the ids of keys from lost answers, which were deleted.
    """

    key: KeyT
    store: str
    recovered: tuple[KeyId, ...] = ()


@attrs.frozen
class Swept(Record):
    """What `sweep` found and did.

    Attributes:
        deleted: the ids of deleted keys whose secrets no store held.
        stored: the ids of keys whose secrets are in their stores; None for an unknown id.
        waiting: the names of keys that do not exist but may be created late: sweep again after ten
            minutes.
        unresolved: the cases that need your decision, one sentence each; also the files and folders
            of the journal that could not be read, or are not yours alone.
        retired: the ids of replaced keys that were deleted.
        retiring: the ids of replaced keys that are still valid for their grace.
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
        store: the place of its secret, in words.
        replaced: the replaced key. It is valid until it retires.
        retires_at: when `sweep` may delete the replaced key; the time is aware. It is later if the
            key is still in use.
        rotation: the id of the rotation, as in the `Announcement` for `then`.
        recovered: the ids of keys from lost answers, which were deleted.
    """

    key: KeyT
    store: str
    replaced: KeyT
    retires_at: datetime
    rotation: str
    recovered: tuple[KeyId, ...] = ()


@attrs.frozen
class Known(Record):
    """A key that the journal keeps.

    Attributes:
        id: the id of its entry in the journal.
        name: the caller's name for the key.
        key_name: its name on the service.
        key_id: its id; None if no answer had it yet.
        scope: the scope of the key.
        store: the address of the store for its secret; "" for a lease.
        state: how far it has come: "kept", "asking", "denied", "writing", "dropping", "retiring",
            "ousting" or "restoring"; "leased" from the beginning of a lease until its key is
            deleted.
        since: when its secret was stored; None if it is not known to be. The time is aware.
        retires: the id of the key that it has replaced, and that still exists.
        retires_at: when `sweep` may delete that key; None while its users have not been told.
        digest: the SHA-256 of its secret; empty if not known.
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
    """What the journal keeps.

    Attributes:
        kept: the keys whose secrets are in their stores.
        under_way: the keys whose issue is running or unfinished.
        retiring: the keys that have replaced others which still exist.
        unreadable: files that may be entries but could not be read, one sentence each.
    """

    kept: tuple[Known, ...] = ()
    under_way: tuple[Known, ...] = ()
    retiring: tuple[Known, ...] = ()
    unreadable: tuple[str, ...] = ()
