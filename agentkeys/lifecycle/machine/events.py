"""The events of a driver, as data. An event's error says in words what the event says."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from agentkeys.errors import AgentKeysError
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.states import KeyId, State

__all__ = [
    "Abort",
    "Announced",
    "Begin",
    "CannotList",
    "CannotLook",
    "Deleted",
    "Event",
    "Holds",
    "Lacks",
    "Listed",
    "Lost",
    "Made",
    "NotAnnounced",
    "NotDeleted",
    "NotNoted",
    "NotWeeded",
    "NotWritten",
    "Refused",
    "Resumed",
    "Unsent",
    "Unusable",
    "Verified",
    "Watched",
    "Weeded",
    "WriteUnknown",
    "Written",
]


@attrs.frozen
class _Trouble:
    error: AgentKeysError | None = attrs.field(default=None, eq=False)


@attrs.frozen
class Begin:
    """The entry is new."""


@attrs.frozen
class Resumed:
    """The entry's last driver is gone.

    Attributes:
        force: whether to delete a replaced key now, even if it is in use.
    """

    force: bool = False


@attrs.frozen
class Abort:
    """The caller aborts the rotation, and has the secret of the replaced key."""

    digest: str


@attrs.frozen
class Made:
    """The service's answer holds the key's secret, though perhaps nothing else.

    Attributes:
        alone: whether the request was sent once, so that no other try can have made a key.
    """

    key_id: KeyId | None
    digest: str
    alone: bool = True
    error: AgentKeysError | None = attrs.field(default=None, eq=False)


@attrs.frozen
class Verified:
    """The new secret works, or there is no way to verify it."""

    made: Made


@attrs.frozen
class Unusable(_Trouble):
    """The new secret does not work."""

    made: Made = attrs.field(kw_only=True)


@attrs.frozen
class Unsent(_Trouble):
    """The create was not sent to the service."""


@attrs.frozen
class Refused(_Trouble):
    """The service answered that it made no key."""


@attrs.frozen
class Lost(_Trouble):
    """The create got no clear answer."""


@attrs.frozen
class Written:
    """The store holds the secret, and has read it back."""


@attrs.frozen
class NotWritten(_Trouble):
    """The store failed, and its write is over."""


@attrs.frozen
class WriteUnknown(_Trouble):
    """The write was given up, and may still arrive."""


@attrs.frozen
class Holds:
    """The store holds the secret."""


@attrs.frozen
class Lacks:
    """The store is the planned one, was read, and does not hold the secret.

    Attributes:
        late: whether a write may still be running.
        asked: when the read began.
    """

    late: bool
    asked: Moment


@attrs.frozen
class CannotLook(_Trouble):
    """The store cannot be read, or is not the planned one.

    Attributes:
        remedy: what may change that, as the beginning of a sentence.
    """

    remedy: str = attrs.field(default="", eq=False)


@attrs.frozen
class Listed:
    """The keys of the entry's name.

    Attributes:
        whole: whether these credentials see all that the entry's could.
        asked: when the listing began. A later key may be missing.
    """

    ids: tuple[KeyId, ...]
    whole: bool
    asked: Moment


@attrs.frozen
class CannotList(_Trouble):
    """The keys could not be listed.

    Attributes:
        refused: whether the service said that these credentials may not list them.
    """

    refused: bool = False


@attrs.frozen
class Deleted:
    """The keys are deleted."""

    ids: tuple[KeyId, ...]


@attrs.frozen
class NotDeleted(_Trouble):
    """One of the keys may still exist."""

    ids: tuple[KeyId, ...] = ()


@attrs.frozen
class Weeded:
    """No key of the entry's name is left other than the one whose secret is stored."""

    ids: tuple[KeyId, ...]


@attrs.frozen
class NotWeeded(_Trouble):
    """There may be another key of the entry's name."""


@attrs.frozen
class Announced:
    """The users of the key have been told."""


@attrs.frozen
class NotAnnounced(_Trouble):
    """The users of the key were not told, or there is no callback to tell them."""


@attrs.frozen
class Watched:
    """What the service lists of the replaced key, and of the key that replaced it.

    Attributes:
        is_there: whether the replaced key is listed.
        is_replaced: whether the new key is listed.
        whole: whether these credentials see all that the entry's could.
        used: when the replaced key was last used, in seconds since 1970; None if not known.
        asked: when the listing began.
        force: the `force` of the command.
    """

    is_there: bool
    is_replaced: bool
    whole: bool
    used: float | None
    asked: Moment
    force: bool = False


@attrs.frozen
class NotNoted(_Trouble):
    """The next state could not be noted, so its step was not taken."""

    wanted: State = attrs.field(kw_only=True)


Event: TypeAlias = (
    Begin
    | Resumed
    | Abort
    | Made
    | Verified
    | Unusable
    | Unsent
    | Refused
    | Lost
    | Written
    | NotWritten
    | WriteUnknown
    | Holds
    | Lacks
    | CannotLook
    | Listed
    | CannotList
    | Deleted
    | NotDeleted
    | Weeded
    | NotWeeded
    | Announced
    | NotAnnounced
    | Watched
    | NotNoted
)
