"""The states of a key in the journal, as data.

An entry is durable before the step that it announces is taken. It holds no secret.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from agentkeys.keys import Scope
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.stores.contract import Found

__all__ = [
    "FORMAT",
    "Asking",
    "Closed",
    "Denied",
    "Dropping",
    "Entry",
    "Kept",
    "KeyId",
    "Ousting",
    "Plan",
    "Replaced",
    "Restoring",
    "Retiring",
    "State",
    "Writing",
]

KeyId: TypeAlias = str | int

FORMAT: Final = 4
"""The number of the format in which entries are written; the first format had no number."""


@attrs.frozen
class Replaced:
    """The key that a new key is to replace, and how it retires.

    Attributes:
        key_id: its id.
        name: its name on the service.
        entry: the id of its own entry in the ledger.
        grace: how many seconds it stays valid after the announcement.
        longest: how many seconds at most, if it is still in use; then a person must decide.
        must_announce: whether its users must be told before its grace begins.
    """

    key_id: KeyId
    name: str
    entry: str
    grace: float
    longest: float
    must_announce: bool = False


@attrs.frozen
class Plan:
    """What the caller wants. It never changes.

    Attributes:
        scope: the scope of the new key.
        name: the caller's name for the key.
        exact: whether the key has exactly this name on the service, without a nonce.
        store: the address of the store; empty for a lease, whose secret is in no store.
        late_write: how many seconds a write may still arrive after its process died; more than 0.0
            for a store on another machine.
        replaces: the key that retires when the new one is stored, or None.
        write_only: whether the writer has no rights to read the store.
    """

    scope: Scope
    name: str
    exact: bool = False
    store: str = ""
    late_write: float = 0.0
    replaces: Replaced | None = None
    write_only: bool = False


@attrs.frozen
class Asking:
    """A create may have been sent, or may still arrive.

    Attributes:
        begun: when it was noted.
        seconds: how long after that the request may still be sent.
    """

    begun: Moment
    seconds: float


@attrs.frozen
class Denied:
    """The service refused the create. A proxy that repeated the request may have made the key."""


@attrs.frozen
class Writing:
    """The secret was received, and the store may hold it.

    Attributes:
        key_id: the key's id, or None if the answer did not have it.
        digest: the SHA-256 of the secret.
        alone: whether the request was sent once, so that no other try can have made a key.
        begun: when it was noted.
        late: how many seconds after that a write may still arrive.
        found: the state of the store right before it was written; None if it is not known.
    """

    key_id: KeyId | None
    digest: str
    alone: bool
    begun: Moment
    late: float
    found: Found | None = None


@attrs.frozen
class Dropping:
    """The key is to be deleted: the store provably does not hold its secret."""

    key_id: KeyId | None


@attrs.frozen
class Retiring:
    """The store holds the secret, and the replaced key is still valid.

    Attributes:
        key_id: the new key's id.
        digest: the SHA-256 of the new secret.
        switched: when the store was seen to hold the new secret.
        since: when the grace of the old key began, or last began anew.
        announced: whether all users that must be told have been told.
        found: the state of the store right before it was written; None if it is not known.
    """

    key_id: KeyId | None
    digest: str
    switched: Moment
    since: Moment
    announced: bool
    found: Found | None = None


@attrs.frozen
class Ousting:
    """The deletion of the replaced key may have been sent: the rotation cannot be aborted.

    The attributes are those of `Retiring`.
    """

    key_id: KeyId | None
    digest: str
    switched: Moment
    found: Found | None = None


@attrs.frozen
class Restoring:
    """The store may hold the old secret again, because the rotation is being aborted.

    Attributes:
        retiring: the state if the store does not hold it.
        digest: the SHA-256 of the old secret.
        begun: when it was noted.
        late: how many seconds after that a write may still arrive.
        found: the state of the store right before it was written; None if it is not known.
    """

    retiring: Retiring
    digest: str
    begun: Moment
    late: float
    found: Found | None = None

    @property
    def key_id(self) -> KeyId | None:
        """The new key's id."""
        return self.retiring.key_id


@attrs.frozen
class Kept:
    """The store holds the secret.

    Attributes:
        key_id: the key's id, or None if no answer had it.
        digest: the SHA-256 of the secret.
        since: when that was noted.
        found: the state of the store right before it was written; None if it is not known.
    """

    key_id: KeyId | None
    digest: str
    since: Moment
    found: Found | None = None


@attrs.frozen
class Closed:
    """Nothing is left to do, and the entry is removed."""


State: TypeAlias = (
    Asking | Denied | Writing | Dropping | Retiring | Ousting | Restoring | Kept | Closed
)


@attrs.frozen
class Entry:
    """What the journal keeps of one key.

    Attributes:
        name: the key's name on the service: the plan's name with a nonce that proves the entry, or
            the exact name if the plan says so.
    """

    plan: Plan
    name: str
    state: State

    @property
    def key_id(self) -> KeyId | None:
        """The key's id, if it is known."""
        return getattr(self.state, "key_id", None)

    @property
    def replaced(self) -> Replaced:
        """The key that this one replaces; only for an entry whose plan replaces one."""
        assert self.plan.replaces is not None  # noqa: S101  # only a plan with a replaced key gets here
        return self.plan.replaces
