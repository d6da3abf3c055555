"""The text of every error and sentence about issuing and sweeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from agentkeys.errors import (
    AgentKeysError,
    DeadlineExceededError,
    JournalError,
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
from agentkeys.lifecycle.outcomes import heard, rotations
from agentkeys.masking import mask
from agentkeys.plain import shown

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
    "lost",
    "unresolved",
]

KeyT = TypeVar("KeyT", bound="Key[Any]")
ErrorT = TypeVar("ErrorT", bound=AgentKeysError)

_LOOK: Final = "list the keys of that name, and delete those whose secrets nobody has"
_SWEEP: Final = "run `agentkeys sweep` when the service answers again"


def complaint(outcome: Outcome, store: str) -> AgentKeysError | None:
    """Return the error of an unreadable answer whose secret is stored nevertheless, or None."""
    for event in outcome.events:
        if isinstance(event, events.Made) and event.error is not None:
            error = _retold(event.error, f"but the key's secret is stored: {store}")
            error.applied = "yes"  # type: ignore[attr-defined]  # only errors of requests hold a salvaged secret
            return error
    return None


def late(name: str, seconds: float) -> DeadlineExceededError:
    """Return the error of a call that had no time to create a key."""
    return DeadlineExceededError(
        f"the key {mask(name)!r} was not issued within {seconds:g} s: set a longer timeout",
        applied="no",
    )


def left_behind(outcome: Outcome, late_names: Sequence[str] = ()) -> str | None:
    """Return the advice about keys that a call may have left, or None if there are none."""
    if heard.is_stored(outcome) or not (late_names or heard.leaves_a_key(outcome)):
        return None
    return _LOOK if heard.is_nameless(outcome) else _SWEEP


def explain(outcome: Outcome, late_names: Sequence[str] = ()) -> AgentKeysError:
    """Return the error of a call of `issue` that ended in *outcome* without a stored secret.

    Args:
        outcome: the outcome of the last key that was created.
        late_names: the names of earlier keys that may be created late.
    """
    if outcome.ending is Ending.LOST:
        return lost(outcome)
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


def lost(outcome: Outcome) -> JournalError:
    """Return the error of a call whose entry another process has taken over."""
    key_id = heard.key_id(outcome)
    which = repr(mask(outcome.entry.name)) + ("" if key_id is None else f", id {key_id}")
    return JournalError(
        f"another process has taken over the entry of the key {which}, for this one did not prolong"
        f" its lease in time: {outcome.where}{outcome.undone}: see `agentkeys status` for what has"
        " become of it, or run `agentkeys sweep`"
    )


_NAMELESS: Final = frozenset({Ending.MAY_COME, Ending.UNPROVEN, Ending.LEFT})
_UNKNOWN: Final = frozenset({Ending.MAY_COME, Ending.UNKNOWN, Ending.HELD})
_MAY_COME: Final = "a slow service may still make the key"


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
        return _retold(cause, "the new key was deleted")
    if isinstance(cause, RequestError):
        cause.applied = "no"
    return _retold(cause, "the leftover key was deleted")


def _hindered(outcome: Outcome) -> str:
    reason = heard.reason(outcome)
    if isinstance(heard.cause(outcome), StoreError):
        return f"the key could not be deleted: {reason or 'its id is not known'}"
    if isinstance(outcome.entry.state, Denied):
        return f"the key was made nevertheless; {reason}"
    return f"the clean-up failed: {reason}"


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
        f"{_fact(cause)}: it is not known whether the key {mask(name)!r} was made; {said}: delete"
        " the keys whose secrets nobody has, and issue it again",
        name=name,
        candidates=candidates,
        **{**_request_of(cause), "applied": "maybe"},
    )


def _unknown(outcome: Outcome, cause: AgentKeysError) -> UncertainStoreError:
    key_id, reason = heard.key_id(outcome), heard.reason(outcome)
    which = repr(mask(outcome.entry.name)) + ("" if key_id is None else f", id {key_id}")
    looked = f"; it cannot be read: {reason}" if reason else ""
    return UncertainStoreError(
        f"{_fact(cause)}{looked}; so it is not known whether the store holds the secret; the key is"
        f" kept ({which}): check the store, and delete the key if its secret is not there;"
        " `agentkeys sweep` does this if the store can be read",
        store=getattr(cause, "store", ""),
        name=outcome.entry.name,
        key_id=key_id,
    )


def unresolved(outcome: Outcome) -> str:
    """Return the sentence about an entry that needs a person's decision."""
    if isinstance(outcome.entry.state, Retiring | Ousting | Restoring):
        return rotations.half_replaced(outcome)
    why, advice = _why(outcome)
    return f"the entry of {mask(outcome.entry.name)!r} {why}: {advice}"


def _why(outcome: Outcome) -> tuple[str, str]:
    by_hand = f"delete the key if nobody has its secret, else delete {outcome.where}"
    match outcome.ending:
        case Ending.UNPROVEN:
            ids = ", ".join(map(str, getattr(outcome.events[-1], "ids", ())))
            return f"has an exact name, which does not prove that it made {ids}", by_hand
        case Ending.FOREIGN:
            account = shown(outcome.entry.plan.scope.account)
            advice = f"sweep with those credentials, or delete {outcome.where}"
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
    why = f"may not have stored the secret of its key{which}: {heard.looked(looks)}"
    return why, f"{remedy}{by_hand}"


_FOREIGN: Final = "was begun with other credentials ({}), and these may belong to another account"


def _fact(error: AgentKeysError) -> str:
    """Return what happened, from the text of *error*, without its advice."""
    return getattr(error, "fact", "") or str(error)


def _retold(error: ErrorT, more: str) -> ErrorT:
    """Return *error* with a text that ends in *more* instead of its advice."""
    error.args = (f"{_fact(error)}; {more}",)
    return error


def _with_length(error: AgentKeysError, entry: Entry) -> AgentKeysError:
    """Add to a refusal of the create that the nonce made the name longer."""
    more = len(entry.name) - len(entry.plan.name)
    if not more or getattr(error, "status", None) not in {400, 422}:
        return error
    return _retold(
        error, f"the name was {more} characters longer than yours (exact_name prevents this)"
    )


def _request_of(error: AgentKeysError) -> dict[str, Any]:
    """Return the fields of the failed request that *error* has."""
    names = ("method", "path", "attempts", "applied")
    return {name: getattr(error, name) for name in names if hasattr(error, name)}
