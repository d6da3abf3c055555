"""What a drive came to, in words: every sentence that the lifecycle ends in is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from agentkeys.errors import (
    AgentKeysError,
    DeadlineExceededError,
    OrphanKeyError,
    RequestError,
    StoreError,
    UncertainCreateError,
    UncertainStoreError,
)
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import (
    Ending,
)
from agentkeys.lifecycle.machine.states import Asking, Denied, Ousting, Restoring, Retiring
from agentkeys.lifecycle.machine.wording import shown
from agentkeys.lifecycle.outcomes import heard, rotations
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkeys.keys import Key
    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.machine.states import Entry

__all__ = [
    "complaint",
    "explain",
    "late",
    "left_behind",
    "unresolved",
]

KeyT = TypeVar("KeyT", bound="Key[Any]")
ErrorT = TypeVar("ErrorT", bound=AgentKeysError)

_LOOK: Final = "list the keys of that name, and delete what nobody holds"
_SWEEP: Final = "run `agentkeys sweep` when the service answers again"


def complaint(outcome: Outcome, store: str) -> AgentKeysError | None:
    """Return what to say of an answer that could not be read, though its secret is stored."""
    for event in outcome.events:
        if isinstance(event, events.Made) and event.error is not None:
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
    if heard.is_stored(outcome) or not (late_names or heard.leaves_a_key(outcome)):
        return None
    return _LOOK if heard.is_nameless(outcome) else _SWEEP


def explain(outcome: Outcome, late_names: Sequence[str] = ()) -> AgentKeysError:
    """Return the error of a call of `issue` that ended in *outcome*, and in no stored secret.

    Args:
        outcome: of the last key that was asked for.
        late_names: the names of keys that were asked for before, and may come late.

    """
    cause = heard.cause(outcome)
    if not heard.leaves_a_key(outcome):
        return _without_a_key(outcome, cause, late_names)
    if heard.is_nameless(outcome) and outcome.ending in _NAMELESS:
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
    reason = heard.reason(outcome)
    if isinstance(heard.cause(outcome), StoreError):
        return f"and the key could not be deleted: {reason or 'it is not known which one it is'}"
    if isinstance(outcome.entry.state, Denied):
        return f"it was made all the same; {reason}"
    return f"and then: {reason}"


def _orphan(
    outcome: Outcome, cause: AgentKeysError, more: str, late_names: Sequence[str]
) -> OrphanKeyError:
    names = [*late_names, *([outcome.entry.name] if heard.leaves_a_key(outcome) else [])]
    key_id = heard.key_id(outcome) if heard.leaves_a_key(outcome) else None
    which = ", ".join(repr(mask(name)) for name in dict.fromkeys(names))
    which += "" if key_id is None else f", id {key_id}"
    how = _LOOK if key_id is None and heard.is_nameless(outcome) else _SWEEP
    return OrphanKeyError(
        f"{_fact(cause)}; {more}; so a key may be left ({which}): {how}",
        name=names[-1],
        key_id=key_id,
        **{**_request_of(cause), "applied": "maybe" if key_id is None else "yes"},
    )


def _uncertain(outcome: Outcome, cause: AgentKeysError) -> UncertainCreateError:
    listed = [event for event in outcome.events if isinstance(event, events.Listed)]
    candidates = listed[-1].ids if listed else ()
    if listed:
        said = f"new keys of that name: {', '.join(map(str, candidates)) or 'none yet'}"
    else:
        said = f"the keys could not be listed: {heard.reason(outcome)}"
    name = outcome.entry.name
    return UncertainCreateError(
        f"{_fact(cause)}: whether the key {mask(name)!r} was made is not known; {said}: delete what"
        " nobody holds, and issue it again",
        name=name,
        candidates=candidates,
        **{**_request_of(cause), "applied": "maybe"},
    )


def _unknown(outcome: Outcome, cause: AgentKeysError) -> UncertainStoreError:
    key_id, reason = heard.key_id(outcome), heard.reason(outcome)
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
    if isinstance(outcome.entry.state, Retiring | Ousting | Restoring):
        return rotations.half_replaced(outcome)
    why, advice = _why(outcome)
    return f"the entry of {mask(outcome.entry.name)!r} {why}: {advice}"


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
            which, why = heard.key_id(outcome), heard.reason(outcome)
            return (
                f"left a key ({which}) that could not be deleted: {why}",
                "sweep again later, or delete the key",
            )
    key_id = outcome.entry.key_id
    which = "" if key_id is None else f" (id {key_id})"
    looks = [event for event in outcome.events if isinstance(event, events.CannotLook)]
    remedy = looks[-1].remedy if looks else ""
    why = f"is not known to have stored its key{which}: {heard.looked(looks)}"
    return why, f"{remedy}{find_out}"


_FOREIGN: Final = (
    "was begun with other credentials ({}), and these do not show that they are of the same account"
)


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
