"""The commands to a driver, as data."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from agentkeys.lifecycle.machine.events import Made
from agentkeys.lifecycle.machine.states import KeyId, Writing

__all__ = [
    "Announce",
    "Command",
    "Create",
    "Delete",
    "End",
    "Ending",
    "Find",
    "Look",
    "Restore",
    "Verify",
    "Watch",
    "Weed",
    "Write",
]


@attrs.frozen
class Create:
    """Create the key on the service."""


@attrs.frozen
class Find:
    """List the keys of the entry's name."""


@attrs.frozen
class Delete:
    """Delete these keys, which are provably the entry's."""

    ids: tuple[KeyId, ...]


@attrs.frozen
class Weed:
    """Delete the keys of the entry's name other than *but*: rejected tries made them."""

    but: KeyId | None


@attrs.frozen
class Verify:
    """Use the new secret once, before a store is changed.

    Attributes:
        made: the service's answer.
    """

    made: Made


@attrs.frozen
class Write:
    """Write the secret to the store, if the store still holds what it held when it was planned.

    Attributes:
        wanted: the state to note right before the store is changed, with the store's state then.
    """

    wanted: Writing


@attrs.frozen
class Look:
    """Read whether the store holds the secret.

    Attributes:
        late: whether a write may still be running, so that a missing secret may arrive.
    """

    late: bool


@attrs.frozen
class Announce:
    """Announce the new key to the users of the old one."""


@attrs.frozen
class Watch:
    """List whether the replaced key still exists, and when it was last used.

    Attributes:
        force: whether to delete it even if it is in use, or its grace is not over.
    """

    force: bool


@attrs.frozen
class Restore:
    """Write the old secret back to the store, if the store still holds the new one."""


class Ending(enum.Enum):
    """How a drive ends, for now."""

    STORED = "the store holds the secret"
    REFUSED = "the service refused, and there is no key"
    DROPPED = "the key was deleted, because no store holds its secret"
    GONE = "there is no key, and none will be made"
    MAY_COME = "there is no key yet, but it may be made late"
    LEFT = "a key may be left; a later sweep can delete it"
    UNPROVEN = "there are keys of the exact name, which does not prove whose they are"
    FOREIGN = "these credentials do not see whether the key is there"
    UNKNOWN = "it is not known whether the store holds the secret"
    RETIRING = "the store holds the secret, and the replaced key is valid until its grace is over"
    OWED = "the store holds the secret, and the users of the key have not been told"
    IN_USE = "the replaced key is still in use, after its longest grace"
    CHANGED = "the store was changed or the new key was deleted, so nothing is deleted"
    RETIRED = "the store holds the secret, and the replaced key is deleted"
    LENT = "the caller holds the secret, and the key is deleted when the lease ends"
    LOST = "another process has taken the entry over, and goes on"
    HELD = "a write may still arrive while this process runs, so it keeps the entry"


@attrs.frozen
class End:
    """Do nothing more."""

    ending: Ending


Command: TypeAlias = (
    Create | Find | Delete | Weed | Verify | Write | Look | Announce | Watch | Restore | End
)
