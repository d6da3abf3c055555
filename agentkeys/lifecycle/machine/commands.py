"""What a driver is told to do, as data."""

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
    """Ask the service for the key."""


@attrs.frozen
class Find:
    """List the keys of the entry's name."""


@attrs.frozen
class Delete:
    """Delete these keys, which are provably the entry's."""

    ids: tuple[KeyId, ...]


@attrs.frozen
class Weed:
    """Delete the keys of the entry's name that are not *but*: tries that were refused made them."""

    but: KeyId | None


@attrs.frozen
class Verify:
    """Use the new secret once, before a store is touched.

    Attributes:
        made: what the service has answered.
    """

    made: Made


@attrs.frozen
class Write:
    """Put the secret into the store, if that still holds what it held when it was planned.

    Attributes:
        wanted: what is noted directly before the store is touched, when it is known what it is.
    """

    wanted: Writing


@attrs.frozen
class Look:
    """See whether the store holds the secret.

    Attributes:
        late: whether a write may still be under way, so that what is not there may come.
    """

    late: bool


@attrs.frozen
class Announce:
    """Tell those who use the key that there is another one."""


@attrs.frozen
class Watch:
    """See whether the key that was replaced is still there, and when it was used last.

    Attributes:
        force: whether it is to go though it is used, or its grace is not over.
    """

    force: bool


@attrs.frozen
class Restore:
    """Put the old secret back into the store, if that still holds the new one."""


class Ending(enum.Enum):
    """How it ends, for now."""

    STORED = "the store holds the secret"
    REFUSED = "the service refused, and there is no key"
    DROPPED = "the key was deleted, for nobody holds its secret"
    GONE = "there is no key, and none will come"
    MAY_COME = "nothing is there, but it may come late"
    LEFT = "a key may be left, and a later sweep can finish it"
    UNPROVEN = "keys are there of the exact name, which does not prove whose they are"
    FOREIGN = "these credentials do not see whether the key is there"
    UNKNOWN = "whether the store holds the secret cannot be known"
    RETIRING = "the store holds the secret, and the key that was replaced lives on for a while"
    OWED = "the store holds the secret, and those who use the key have not been told"
    IN_USE = "the key that was replaced is used, though it should have retired long ago"
    CHANGED = "somebody has changed the store or deleted the new key, so nothing is deleted"
    RETIRED = "the store holds the secret, and the key that was replaced is gone"
    LENT = "the caller holds the secret, and the key is deleted when the lease ends"
    HELD = "a write may still come while this process lives, so it keeps the entry to itself"


@attrs.frozen
class End:
    """Do nothing more."""

    ending: Ending


Command: TypeAlias = (
    Create | Find | Delete | Weed | Verify | Write | Look | Announce | Watch | Restore | End
)
