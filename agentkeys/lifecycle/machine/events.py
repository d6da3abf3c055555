"""What a driver comes back with, as data. An error says in words what the event says."""

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
    """The entry was left by somebody who is gone.

    Attributes:
        force: whether a key that was replaced is to go at once, though it may be used.
    """

    force: bool = False


@attrs.frozen
class Abort:
    """Somebody wants the key back that was replaced, and has its secret."""

    digest: str


@attrs.frozen
class Made:
    """The service answered with the key's secret, though perhaps with nothing else.

    Attributes:
        alone: whether the request was sent once, so that no other try can have made a key.
    """

    key_id: KeyId | None
    digest: str
    alone: bool = True
    error: AgentKeysError | None = attrs.field(default=None, eq=False)


@attrs.frozen
class Verified:
    """The new secret works, or there is no way to try it."""

    made: Made


@attrs.frozen
class Unusable(_Trouble):
    """The new secret does not work."""

    made: Made = attrs.field(kw_only=True)


@attrs.frozen
class Unsent(_Trouble):
    """The create never reached the service."""


@attrs.frozen
class Refused(_Trouble):
    """The service answered that it made no key."""


@attrs.frozen
class Lost(_Trouble):
    """No answer that tells came to the create."""


@attrs.frozen
class Written:
    """The store holds the secret, and has read it back."""


@attrs.frozen
class NotWritten(_Trouble):
    """The store says that it failed, and is done with it."""


@attrs.frozen
class WriteUnknown(_Trouble):
    """The write was given up, and may still come."""


@attrs.frozen
class Holds:
    """The store holds the secret."""


@attrs.frozen
class Lacks:
    """The store is the one that was planned, was read, and does not hold the secret.

    Attributes:
        late: whether a write may still be under way.
        asked: when the reading began.
    """

    late: bool
    asked: Moment


@attrs.frozen
class CannotLook(_Trouble):
    """The store cannot be read, or is not the one that was planned.

    Attributes:
        remedy: what may change that, as the beginning of a sentence.
    """

    remedy: str = attrs.field(default="", eq=False)


@attrs.frozen
class Listed:
    """The keys of the entry's name.

    Attributes:
        whole: whether these credentials see all that the entry's could.
        asked: when the listing began. What came later may not be in it.
    """

    ids: tuple[KeyId, ...]
    whole: bool
    asked: Moment


@attrs.frozen
class CannotList(_Trouble):
    """The keys could not be listed.

    Attributes:
        refused: whether the service said that these credentials may not.
    """

    refused: bool = False


@attrs.frozen
class Deleted:
    """The keys are gone."""

    ids: tuple[KeyId, ...]


@attrs.frozen
class NotDeleted(_Trouble):
    """One of them may be there still."""

    ids: tuple[KeyId, ...] = ()


@attrs.frozen
class Weeded:
    """No key of the entry's name is left but the one whose secret is stored."""

    ids: tuple[KeyId, ...]


@attrs.frozen
class NotWeeded(_Trouble):
    """There may be another one."""


@attrs.frozen
class Announced:
    """Those who use the key have been told."""


@attrs.frozen
class NotAnnounced(_Trouble):
    """They were not, or nobody here knows how to."""


@attrs.frozen
class Watched:
    """What the service tells of the key that was replaced, and of the one that replaced it.

    Attributes:
        is_there: whether it is listed.
        is_replaced: whether the new one is listed.
        whole: whether these credentials see all that the entry's could.
        used: when it was used last, in seconds since 1970; None if nobody tells.
        asked: when the listing began.
        force: as it was commanded.
    """

    is_there: bool
    is_replaced: bool
    whole: bool
    used: float | None
    asked: Moment
    force: bool = False


@attrs.frozen
class NotNoted(_Trouble):
    """The next state could not be noted; so what it announces was not begun."""

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
