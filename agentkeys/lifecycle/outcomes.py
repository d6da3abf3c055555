"""What a drive came to, in words: every sentence that the lifecycle ends in is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from agentkeys.errors import (
    AgentKeysError,
    DeadlineExceededError,
    OrphanKeyError,
    RequestError,
    StoreError,
    UncertainCreateError,
    UncertainStoreError,
)
from agentkeys.lifecycle import steps
from agentkeys.lifecycle.states import Asking, Denied, KeyId
from agentkeys.lifecycle.steps import Ending
from agentkeys.lifecycle.wording import shown
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkeys.keys import Key
    from agentkeys.lifecycle.driver import Outcome
    from agentkeys.lifecycle.states import Entry

__all__ = [
    "Issued",
    "Swept",
    "asked_to_wait",
    "complaint",
    "deleted",
    "explain",
    "late",
    "left_behind",
    "may_be_asked_again",
    "not_listed",
    "unresolved",
]

KeyT = TypeVar("KeyT", bound="Key[Any]")
ErrorT = TypeVar("ErrorT", bound=AgentKeysError)

_LOOK: Final = "list the keys of that name, and delete what nobody holds"
_SWEEP: Final = "run `agentkeys sweep` when the service answers again"
# What says why there is no key, or why its secret is not stored.
_CAUSES: Final = (
    steps.Unsent,
    steps.Refused,
    steps.Lost,
    steps.Made,
    steps.NotNoted,
    steps.NotWritten,
    steps.WriteUnknown,
)
# What says why that could not be put right.
_HINDRANCES: Final = (steps.CannotList, steps.NotDeleted, steps.CannotLook)


@attrs.frozen
class Issued(Generic[KeyT]):
    """A key that was issued, and whose secret is in a store.

    Attributes:
        key: the key as it is listed, without its secret.
        store: where the secret lies, in words.
        recovered: the ids of keys that lost answers had left behind, and that were deleted.
    """

    key: KeyT
    store: str
    recovered: tuple[KeyId, ...] = ()


@attrs.frozen
class Swept:
    """What `sweep` found.

    Attributes:
        deleted: the ids of keys that nobody held, and that were deleted.
        stored: the ids of keys whose secrets are where they belong; None for one that is unknown.
        waiting: the names of keys that are not there but may come late: sweep again after ten
            minutes.
        unresolved: the cases that need your decision, one sentence each: also every file and folder
            of attempts that could not be looked at, or is not yours alone.
    """

    deleted: tuple[KeyId, ...] = ()
    stored: tuple[KeyId | None, ...] = ()
    waiting: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()


def may_be_asked_again(outcome: Outcome) -> bool:
    """Whether another key may be asked for: no store was touched, and no key is seen."""
    is_before_the_store = isinstance(outcome.entry.state, Asking | Denied)
    ended = {Ending.DROPPED, Ending.MAY_COME}
    is_about_the_store = any(isinstance(event, steps.NotNoted) for event in outcome.events)
    return outcome.ending in ended and is_before_the_store and not is_about_the_store


def deleted(outcome: Outcome) -> tuple[KeyId, ...]:
    """Return the ids of the keys that were deleted on the way."""
    gone = (event for event in outcome.events if isinstance(event, steps.Deleted | steps.Weeded))
    return tuple(key_id for event in gone for key_id in event.ids)


def complaint(outcome: Outcome, store: str) -> AgentKeysError | None:
    """Return what to say of an answer that could not be read, though its secret is stored."""
    for event in outcome.events:
        if isinstance(event, steps.Made) and event.error is not None:
            error = _retold(event.error, f"but the key's secret is stored: {store}")
            error.applied = "yes"  # type: ignore[attr-defined]  # only errors of requests salvage
            return error
    return None


def late(name: str, seconds: float) -> DeadlineExceededError:
    """Return the error of a call for which there was no time to ask for a key."""
    return DeadlineExceededError(
        f"the key {mask(name)!r} was not issued within {seconds:g} s: give it a longer timeout",
        applied="no",
    )


def left_behind(outcome: Outcome, late_names: Sequence[str] = ()) -> str | None:
    """Return what to do about the keys that a call may have left, or None if there are none."""
    if outcome.ending is Ending.STORED or not (late_names or _leaves_a_key(outcome)):
        return None
    return _LOOK if _is_nameless(outcome) else _SWEEP


def asked_to_wait(outcome: Outcome) -> float | None:
    """Return the seconds that the service asked to wait before the next try, if it did."""
    return getattr(_cause(outcome), "retry_after", None)


def not_listed(outcome: Outcome) -> AgentKeysError | None:
    """Return why a sweep cannot go on: the keys cannot be listed."""
    last = outcome.events[-1]
    return last.error if isinstance(last, steps.CannotList) else None


def explain(outcome: Outcome, late_names: Sequence[str] = ()) -> AgentKeysError:
    """Return the error of a call of `issue` that ended in *outcome*, and in no stored secret.

    Args:
        outcome: of the last key that was asked for.
        late_names: the names of keys that were asked for before, and may come late.

    """
    cause = _cause(outcome)
    if not _leaves_a_key(outcome):
        return _without_a_key(outcome, cause, late_names)
    if _is_nameless(outcome) and outcome.ending in _NAMELESS:
        return _uncertain(outcome, cause)
    is_before_the_store = isinstance(outcome.entry.state, Asking | Denied)
    if outcome.ending is Ending.MAY_COME and is_before_the_store:
        return _orphan(outcome, cause, _MAY_COME, late_names)
    if outcome.ending in _UNKNOWN:
        return _unknown(outcome, cause)
    return _orphan(outcome, cause, _hindered(outcome), late_names)


_NAMELESS: Final = frozenset({Ending.MAY_COME, Ending.UNPROVEN, Ending.LEFT})
_UNKNOWN: Final = frozenset({Ending.MAY_COME, Ending.UNKNOWN, Ending.HELD})
_MAY_COME: Final = "a slow service may make the key yet"


def _without_a_key(
    outcome: Outcome, cause: AgentKeysError, late_names: Sequence[str]
) -> AgentKeysError:
    if late_names:
        return _orphan(outcome, cause, _MAY_COME, late_names)
    if outcome.ending is Ending.REFUSED:
        return _with_length(cause, outcome.entry)
    return _nothing_left(cause)


def _nothing_left(cause: AgentKeysError) -> AgentKeysError:
    if isinstance(cause, StoreError):
        return _retold(cause, "the key was deleted again")
    if isinstance(cause, RequestError):
        cause.applied = "no"
    return _retold(cause, "the key that was left was deleted")


def _hindered(outcome: Outcome) -> str:
    reason = _reason(outcome)
    if isinstance(_cause(outcome), StoreError):
        return f"and the key could not be deleted: {reason or 'it is not known which one it is'}"
    if isinstance(outcome.entry.state, Denied):
        return f"it was made all the same; {reason}"
    return f"and then: {reason}"


def _orphan(
    outcome: Outcome, cause: AgentKeysError, more: str, late_names: Sequence[str]
) -> OrphanKeyError:
    names = [*late_names, *([outcome.entry.name] if _leaves_a_key(outcome) else [])]
    key_id = _key_id(outcome) if _leaves_a_key(outcome) else None
    which = ", ".join(repr(mask(name)) for name in dict.fromkeys(names))
    which += "" if key_id is None else f", id {key_id}"
    how = _LOOK if key_id is None and _is_nameless(outcome) else _SWEEP
    return OrphanKeyError(
        f"{_fact(cause)}; {more}; so a key may be left ({which}): {how}",
        name=names[-1],
        key_id=key_id,
        **{**_request_of(cause), "applied": "maybe" if key_id is None else "yes"},
    )


def _uncertain(outcome: Outcome, cause: AgentKeysError) -> UncertainCreateError:
    listed = [event for event in outcome.events if isinstance(event, steps.Listed)]
    candidates = listed[-1].ids if listed else ()
    if listed:
        said = f"new keys of that name: {', '.join(map(str, candidates)) or 'none yet'}"
    else:
        said = f"the keys could not be listed: {_reason(outcome)}"
    name = outcome.entry.name
    return UncertainCreateError(
        f"{_fact(cause)}: whether the key {mask(name)!r} was made is not known; {said}: delete what"
        " nobody holds, and issue it again",
        name=name,
        candidates=candidates,
        **{**_request_of(cause), "applied": "maybe"},
    )


def _unknown(outcome: Outcome, cause: AgentKeysError) -> UncertainStoreError:
    key_id, reason = _key_id(outcome), _reason(outcome)
    which = repr(mask(outcome.entry.name)) + ("" if key_id is None else f", id {key_id}")
    looked = f"; it cannot be read: {reason}" if reason else ""
    return UncertainStoreError(
        f"{_fact(cause)}{looked}; so whether it holds the secret is not known, and the key is kept"
        f" ({which}): see whether it holds the secret, and delete the key if not; `agentkeys sweep`"
        " does it if the store can be read",
        store=getattr(cause, "store", ""),
        name=outcome.entry.name,
        key_id=key_id,
    )


def unresolved(outcome: Outcome) -> str:
    """Return the sentence about an entry that only a person can decide on."""
    why, advice = _why(outcome)
    return f"the attempt for {mask(outcome.entry.name)!r} {why}: {advice}"


def _why(outcome: Outcome) -> tuple[str, str]:
    find_out = f"delete the key if nobody holds its secret, or else the file {outcome.where}"
    match outcome.ending:
        case Ending.UNPROVEN:
            ids = ", ".join(map(str, getattr(outcome.events[-1], "ids", ())))
            return f"has an exact name, which does not prove that it made {ids}", find_out
        case Ending.FOREIGN:
            account = shown(outcome.entry.plan.scope.account)
            advice = f"sweep with those, or else delete the file {outcome.where}"
            return _FOREIGN.format(account), advice
        case Ending.LEFT:
            left = f"left a key ({_key_id(outcome)}) that could not be deleted: {_reason(outcome)}"
            return left, "sweep again later, or delete the key"
    key_id = outcome.entry.key_id
    which = "" if key_id is None else f" (id {key_id})"
    looks = [event for event in outcome.events if isinstance(event, steps.CannotLook)]
    remedy = looks[-1].remedy if looks else ""
    why = f"is not known to have stored its key{which}: {_looked(looks)}"
    return why, f"{remedy}{find_out}"


def _looked(looks: Sequence[steps.CannotLook]) -> str:
    return str(looks[-1].error) if looks else "its store cannot be looked into"


_FOREIGN: Final = (
    "was begun with other credentials ({}), and these do not show that they are of the same account"
)


def _cause(outcome: Outcome) -> AgentKeysError:
    """Return the first error that says why the secret is not stored."""
    errors = (event.error for event in outcome.events if isinstance(event, _CAUSES))
    return next(error for error in errors if error is not None)


def _reason(outcome: Outcome) -> str:
    errors = [event.error for event in outcome.events if isinstance(event, _HINDRANCES)]
    return next((str(error) for error in reversed(errors) if error is not None), "")


def _leaves_a_key(outcome: Outcome) -> bool:
    return outcome.ending not in {Ending.REFUSED, Ending.DROPPED, Ending.GONE}


def _is_nameless(outcome: Outcome) -> bool:
    """Whether neither the name nor the id of what may be left tells it from other keys."""
    return outcome.entry.plan.exact and _told_id(outcome) is None


def _key_id(outcome: Outcome) -> KeyId | None:
    """Return the id of the key at hand, if an answer told it or a listing shows it."""
    for event in reversed(outcome.events):
        if isinstance(event, steps.NotDeleted | steps.Listed) and event.ids:
            return event.ids[0]
    return _told_id(outcome)


def _told_id(outcome: Outcome) -> KeyId | None:
    made = (event.key_id for event in outcome.events if isinstance(event, steps.Made))
    return next(made, None) or outcome.entry.key_id


def _fact(error: AgentKeysError) -> str:
    """Return what *error* says happened, without what it advises to do about it."""
    return getattr(error, "fact", "") or str(error)


def _retold(error: ErrorT, more: str) -> ErrorT:
    """Return *error*, whose text says *more* now, instead of its advice."""
    error.args = (f"{_fact(error)}; {more}",)
    return error


def _with_length(error: AgentKeysError, entry: Entry) -> AgentKeysError:
    """Add to a refusal of what was sent that the name was longer than the caller's."""
    more = len(entry.name) - len(entry.plan.name)
    if not more or getattr(error, "status", None) not in {400, 422}:
        return error
    return _retold(error, f"the name got {more} characters more (exact_name leaves them out)")


def _request_of(error: AgentKeysError) -> dict[str, Any]:
    """Return what *error* knows of the request that failed."""
    names = ("method", "path", "attempts", "applied")
    return {name: getattr(error, name) for name in names if hasattr(error, name)}
