"""How far a key has come: what the journal remembers of it, as data.

An entry is durable before the step that it announces is taken. It holds no secret.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from agentkeys.keys import Scope
from agentkeys.lifecycle.moments import Moment
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
    "Plan",
    "State",
    "Writing",
]

KeyId: TypeAlias = str | int

FORMAT: Final = 2
"""The number of the format in which entries are written; of the first one it was not written."""


@attrs.frozen
class Plan:
    """What is wanted. It never changes.

    Attributes:
        scope: whose keys the new one belongs to.
        name: what the caller calls the key.
        exact: whether the key has that very name on the service, without a nonce.
        store: the address of the store.
        late_write: for how many seconds a write may still come whose process has died; more than
            0.0 for a store on another machine.
    """

    scope: Scope
    name: str
    exact: bool = False
    store: str = ""
    late_write: float = 0.0


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
class Kept:
    """The store holds the secret."""

    key_id: KeyId | None
    digest: str


@attrs.frozen
class Closed:
    """Nothing is left to be done, and the entry is forgotten."""


State: TypeAlias = Asking | Denied | Writing | Dropping | Kept | Closed


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
