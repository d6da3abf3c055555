"""What a driver is told to do, and what it comes back with: commands and events, as data."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from agentkeys.errors import AgentKeysError
from agentkeys.lifecycle.moments import Moment
from agentkeys.lifecycle.states import KeyId, State, Writing

__all__ = [
    "Begin",
    "CannotList",
    "CannotLook",
    "Command",
    "Create",
    "Delete",
    "Deleted",
    "End",
    "Ending",
    "Event",
    "Find",
    "Holds",
    "Lacks",
    "Listed",
    "Look",
    "Lost",
    "Made",
    "NotDeleted",
    "NotNoted",
    "NotWeeded",
    "NotWritten",
    "Refused",
    "Resumed",
    "Unsent",
    "Weed",
    "Weeded",
    "Write",
    "WriteUnknown",
    "Written",
]


# What the driver is told to do.


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
    HELD = "a write may still come while this process lives, so it keeps the entry to itself"


@attrs.frozen
class End:
    """Do nothing more."""

    ending: Ending


Command: TypeAlias = Create | Find | Delete | Weed | Write | Look | End


# What the driver comes back with. An error says in words what the event says as data.


@attrs.frozen
class _Trouble:
    error: AgentKeysError | None = attrs.field(default=None, eq=False)


@attrs.frozen
class Begin:
    """The entry is new."""


@attrs.frozen
class Resumed:
    """The entry was left by somebody who is gone."""


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
class NotNoted(_Trouble):
    """The next state could not be noted; so what it announces was not begun."""

    wanted: State = attrs.field(kw_only=True)


Event: TypeAlias = (
    Begin
    | Resumed
    | Made
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
    | NotNoted
)
