"""The facts of a drive's events that the calling functions need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentkeys.errors import (
    AgentKeysError,
)
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import (
    Ending,
)
from agentkeys.lifecycle.machine.states import Asking, Denied, Kept, KeyId, Ousting, Retiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkeys.lifecycle.driving.driver import Outcome

__all__ = [
    "asked_to_wait",
    "cause",
    "deleted",
    "is_nameless",
    "is_stored",
    "key_id",
    "leaves_a_key",
    "looked",
    "may_be_asked_again",
    "not_listed",
    "reason",
    "replaced",
    "told_id",
]


# The events that say why there is no key, or why its secret is not stored.
_CAUSES: Final = (
    events.Unsent,
    events.Refused,
    events.Lost,
    events.Made,
    events.Unusable,
    events.NotNoted,
    events.NotWritten,
    events.WriteUnknown,
)


# The events that say why that could not be cleaned up.
_HINDRANCES: Final = (events.CannotList, events.NotDeleted, events.CannotLook)


_STORED: Final = frozenset(
    {Ending.LENT, Ending.STORED, Ending.RETIRING, Ending.OWED, Ending.IN_USE, Ending.RETIRED}
)


def is_stored(outcome: Outcome) -> bool:
    """Whether the secret is where it belongs: in the store, or with the caller of a lease."""
    # Kept, if somebody else has taken the entry over, and found the secret in the store.
    return outcome.ending in _STORED or isinstance(outcome.entry.state, Retiring | Ousting | Kept)


def may_be_asked_again(outcome: Outcome) -> bool:
    """Whether another key may be created: no store was changed, and no key is listed."""
    is_before_the_store = isinstance(outcome.entry.state, Asking | Denied)
    ended = {Ending.DROPPED, Ending.MAY_COME}
    is_no_matter_of_luck = any(
        isinstance(event, events.NotNoted | events.Unusable) for event in outcome.events
    )
    return outcome.ending in ended and is_before_the_store and not is_no_matter_of_luck


def deleted(outcome: Outcome) -> tuple[KeyId, ...]:
    """Return the ids of the keys that the drive deleted, as no store held their secrets."""
    gone = (event for event in outcome.events if isinstance(event, events.Deleted | events.Weeded))
    return tuple(key_id for event in gone for key_id in event.ids if key_id != replaced(outcome))


def replaced(outcome: Outcome) -> KeyId | None:
    """Return the id of the replaced key, or None."""
    replaces = outcome.entry.plan.replaces
    return None if replaces is None else replaces.key_id


def asked_to_wait(outcome: Outcome) -> float | None:
    """Return the seconds that the service asked to wait before the next try, or None."""
    return getattr(cause(outcome), "retry_after", None)


def not_listed(outcome: Outcome) -> AgentKeysError | None:
    """Return the error that stops a sweep because the keys cannot be listed, or None."""
    last = outcome.events[-1]
    return last.error if isinstance(last, events.CannotList) else None


def cause(outcome: Outcome) -> AgentKeysError:
    """Return the first error that says why the secret is not stored."""
    errors = (event.error for event in outcome.events if isinstance(event, _CAUSES))
    return next(error for error in errors if error is not None)


def reason(outcome: Outcome) -> str:
    """Return why the failure could not be cleaned up."""
    if outcome.ending is Ending.LOST:
        return str(outcome.ending.value)
    errors = [event.error for event in outcome.events if isinstance(event, _HINDRANCES)]
    return next((str(error) for error in reversed(errors) if error is not None), "")


def leaves_a_key(outcome: Outcome) -> bool:
    """Whether a key may exist."""
    return outcome.ending not in {Ending.REFUSED, Ending.DROPPED, Ending.GONE}


def is_nameless(outcome: Outcome) -> bool:
    """Whether neither the name nor the id distinguishes the possible leftover from other keys."""
    return outcome.entry.plan.exact and told_id(outcome) is None


def key_id(outcome: Outcome) -> KeyId | None:
    """Return the id of the current key, if an answer or a listing has it."""
    for event in reversed(outcome.events):
        if isinstance(event, events.NotDeleted | events.Listed) and event.ids:
            return event.ids[0]
    return told_id(outcome)


def told_id(outcome: Outcome) -> KeyId | None:
    """Return the key's id, if an answer had it."""
    made = (event.key_id for event in outcome.events if isinstance(event, events.Made))
    return next(made, None) or outcome.entry.key_id


def looked(looks: Sequence[events.CannotLook]) -> str:
    """Return why a store could not be read."""
    return str(looks[-1].error) if looks else "its store cannot be read"
