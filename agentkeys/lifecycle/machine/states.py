"""How far a key has come: what the journal remembers of it, as data.

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
"""The number of the format in which entries are written; of the first one it was not written."""


@attrs.frozen
class Replaced:
    """The key that a new one is to replace, and how it retires.

    Attributes:
        key_id: its id.
        name: its name on the service.
        entry: the id of its own entry in the ledger.
        grace: for how many seconds it lives on when everybody has been told.
        longest: for how many seconds at most, if it is used all the while; then a person decides.
        must_announce: whether something is owed to those who use it before its grace begins.
    """

    key_id: KeyId
    name: str
    entry: str
    grace: float
    longest: float
    must_announce: bool = False


@attrs.frozen
class Plan:
    """What is wanted. It never changes.

    Attributes:
        scope: whose keys the new one belongs to.
        name: what the caller calls the key.
        exact: whether the key has that very name on the service, without a nonce.
        store: the address of the store; empty for a lease, whose secret is in no store.
        late_write: for how many seconds a write may still come whose process has died; more than
            0.0 for a store on another machine.
        replaces: the key that retires when the new one is stored, if there is one.
        write_only: whether the store cannot be read with the rights of whoever writes to it.
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
    """A create may be on its way, or may come late.

    Attributes:
        begun: when it was noted.
        seconds: for how long after that the request may still be sent.
    """

    begun: Moment
    seconds: float


@attrs.frozen
class Denied:
    """The service refused the create. A proxy that asked twice may have made the key before."""


@attrs.frozen
class Writing:
    """The secret has come, and the store may hold it.

    Attributes:
        key_id: the key's id, or None if the answer did not tell.
        digest: the SHA-256 of the secret.
        alone: whether the request was sent once, so that no other try can have made a key.
        begun: when it was noted.
        late: for how many seconds after that a write may still come.
        found: what the store was directly before it was written; None if it cannot tell.
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
    """The store holds the secret, and the key that was replaced is still alive.

    Attributes:
        key_id: the new key's id.
        digest: the SHA-256 of the new secret.
        switched: when the store was seen to hold it.
        since: when the grace of the old key began, or began anew.
        announced: whether everybody has been told who had to be.
        found: what the store was directly before it was written; None if it cannot tell.
    """

    key_id: KeyId | None
    digest: str
    switched: Moment
    since: Moment
    announced: bool
    found: Found | None = None


@attrs.frozen
class Ousting:
    """The deletion of the key that was replaced may have been sent: there is no way back.

    The attributes are those of `Retiring`.
    """

    key_id: KeyId | None
    digest: str
    switched: Moment
    found: Found | None = None


@attrs.frozen
class Restoring:
    """The store may hold the old secret again, which somebody has asked for.

    Attributes:
        retiring: what is so if it does not.
        digest: the SHA-256 of the old secret.
        begun: when it was noted.
        late: for how many seconds after that a write may still come.
        found: what the store was directly before it was written; None if it cannot tell.
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
        key_id: the key's id, or None if no answer told it.
        digest: the SHA-256 of the secret.
        since: when that was noted.
        found: what the store was directly before it was written; None if it cannot tell.
    """

    key_id: KeyId | None
    digest: str
    since: Moment
    found: Found | None = None


@attrs.frozen
class Closed:
    """Nothing is left to be done, and the entry is forgotten."""


State: TypeAlias = (
    Asking | Denied | Writing | Dropping | Retiring | Ousting | Restoring | Kept | Closed
)


@attrs.frozen
class Entry:
    """What the journal remembers of one key.

    Attributes:
        name: the key's name on the service: the plan's, and a nonce that proves whose it is,
            unless the plan wants the exact name.
    """

    plan: Plan
    name: str
    state: State

    @property
    def key_id(self) -> KeyId | None:
        """The key's id, if it is known yet."""
        return getattr(self.state, "key_id", None)

    @property
    def replaced(self) -> Replaced:
        """The key that this one replaces; only for an entry whose plan replaces one."""
        assert self.plan.replaces is not None  # noqa: S101  # or nothing retires
        return self.plan.replaces
