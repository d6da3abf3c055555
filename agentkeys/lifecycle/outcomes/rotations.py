"""The texts about a key that was to be replaced."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agentkeys.errors import (
    AgentKeysError,
    RotationError,
    RotationInProgressError,
    StillInUseError,
    UncertainStoreError,
)
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import (
    Ending,
)
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.retiring import is_in_use_for_too_long
from agentkeys.lifecycle.machine.states import KeyId, Retiring
from agentkeys.lifecycle.outcomes import heard
from agentkeys.masking import mask
from agentkeys.plain import shown

if TYPE_CHECKING:
    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.machine.states import Entry, Plan

__all__ = ["add_what_works", "half_replaced", "in_progress", "not_aborted", "untold"]

_TELL: Final = "run `agentkeys sweep --then ...`, or tell them and run `agentkeys ... announced {}`"


def in_progress(
    plan: Plan, old: KeyId | None, entry: Entry | None = None, used: float | None = None
) -> RotationInProgressError:
    """Return the error of a rotation that cannot begin, because another rotation is unfinished.

    Args:
        plan: the plan of the rotation that cannot begin.
        old: the id of the key that was to be replaced.
        entry: the entry of the other rotation; None if another process works on it now.
        used: when the key that the other rotation replaces was last used, in seconds since 1970;
            None if not known.
    """
    state = None if entry is None else entry.state
    kind = RotationInProgressError
    if entry is not None and entry.plan.replaces is not None:
        old = entry.plan.replaces.key_id
    if entry is None:
        how, advice = "another process is replacing it now", "wait for that process"
    elif isinstance(state, Retiring) and not state.announced:
        how = f"{mask(entry.name)!r} has replaced it, but its users have not been told"
        advice = _TELL.format(mask(plan.name))
    elif is_in_use_for_too_long(entry, used, now()):
        kind = StillInUseError
        how = f"{mask(entry.name)!r} has replaced it, and it is still in use{_last_use(used)}"
        advice = "find the program that uses it; `agentkeys sweep --force` deletes it"
    elif isinstance(state, Retiring):
        how = f"{mask(entry.name)!r} has replaced it, and it is still valid for its grace"
        advice = (
            "wait (`agentkeys status` says how long), or run `agentkeys sweep --force` to delete it"
        )
    else:
        how = f"{mask(entry.name)!r} was to replace it, and that rotation is unfinished"
        advice = "run `agentkeys sweep` first"
    return kind(
        f"the key {old} of {mask(plan.name)!r} is being replaced already: {how}: {advice}",
        name=plan.name,
        store=plan.store,
        key_id=old,
    )


def add_what_works(error: AgentKeysError, old: KeyId, store: str) -> None:
    """Add to an error of a rotation that the old key works, and where its secret is."""
    may_be_switched = isinstance(error, UncertainStoreError)
    where = "may have been overwritten" if may_be_switched else "is unchanged"
    error.args = (f"{error}; the old key {old} works, and its secret {where}: {store}",)


def untold(outcome: Outcome, store: str) -> RotationError | None:
    """Return the error of a rotation whose users could not be told, or None."""
    entry = outcome.entry
    replaces = entry.plan.replaces
    # Before anybody was told, or before it was noted.
    is_told = getattr(entry.state, "announced", False)
    is_cut_short = outcome.ending is Ending.STORED or (
        outcome.ending is Ending.LOST and not is_told
    )
    is_owed = is_cut_short and replaces is not None and replaces.must_announce
    if outcome.ending is not Ending.OWED and not is_owed:
        return None
    kinds = events.NotAnnounced | events.NotNoted | events.NotWeeded
    found = next((e.error for e in reversed(outcome.events) if isinstance(e, kinds)), None)
    why = outcome.ending.value if outcome.ending is Ending.LOST else found
    return RotationError(
        f"the new key {entry.key_id} works, and its secret is stored: {store}; but its users"
        f" could not be told ({why}), so the old key {heard.replaced(outcome)} does not retire:"
        f" {_TELL.format(mask(entry.plan.name))}",
        name=entry.plan.name,
        store=store,
        key_id=entry.key_id,
    )


def not_aborted(outcome: Outcome) -> RotationError:
    """Return the error of a rotation that could not be aborted."""
    entry = outcome.entry
    why = heard.reason(outcome) or outcome.ending.value
    return RotationError(
        f"the rotation of {mask(entry.plan.name)!r} was not aborted: {why}; see"
        f" `agentkeys status` for the key {entry.key_id}, then abort again",
        name=entry.plan.name,
        store=entry.plan.store,
        key_id=entry.key_id,
    )


def half_replaced(outcome: Outcome) -> str:
    """Return the sentence about a key that was replaced, and cannot retire."""
    entry, old = outcome.entry, heard.replaced(outcome)
    base = mask(entry.plan.name)
    match outcome.ending:
        case Ending.OWED:
            why = "its users have not been told"
            errors = [e.error for e in outcome.events if isinstance(e, events.NotAnnounced)]
            why += f" ({errors[-1]})" if errors and errors[-1] else ""
            advice = f"sweep with --then, or tell them and run `agentkeys ... announced {base}`"
        case Ending.IN_USE:
            why = f"it is still in use{_last_use(_used(outcome))}"
            advice = "sweep with --force to delete it"
        case Ending.CHANGED if _is_ruined(outcome):
            why = f"the new key {entry.key_id} is no longer listed, and the old key works"
            advice = "abort the rotation (`agentkeys ... abort`), or issue another key"
        case Ending.CHANGED:
            why = f"{shown(entry.plan.store)} no longer holds the new secret"
            advice = "put it back or abort the rotation (`agentkeys ... abort`), and sweep again"
        case Ending.FOREIGN:
            why, advice = (
                "these credentials do not show whether it still exists",
                "sweep with its account's",
            )
        case Ending.LEFT:
            why, advice = f"it could not be deleted: {heard.reason(outcome)}", "sweep again later"
        case _:
            looks = [e for e in outcome.events if isinstance(e, events.CannotLook)]
            why, advice = heard.looked(looks), "check what the store holds, and sweep again"
    return (
        f"the key {old} of {base!r} was replaced by {entry.key_id}, but is not deleted: {why}:"
        f" {advice}"
    )


def _is_ruined(outcome: Outcome) -> bool:
    seen = [event for event in outcome.events if isinstance(event, events.Watched)]
    return bool(seen) and not seen[-1].is_replaced


def _used(outcome: Outcome) -> float | None:
    return next((e.used for e in reversed(outcome.events) if isinstance(e, events.Watched)), None)


def _last_use(used: float | None) -> str:
    if used is None:
        return ""
    return f", last at {datetime.fromtimestamp(used, UTC).isoformat(timespec='seconds')}"
