"""What became of a key that was to be replaced, in words."""

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
from agentkeys.lifecycle.machine.wording import shown
from agentkeys.lifecycle.outcomes import heard
from agentkeys.masking import mask

if TYPE_CHECKING:
    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.machine.states import Entry, Plan

__all__ = ["add_what_works", "half_replaced", "in_progress", "not_aborted", "untold"]

_TELL: Final = (
    "run `agentkeys sweep --then ...`, or `agentkeys ... announced {}` when you have told them"
)


def in_progress(
    plan: Plan, old: KeyId | None, entry: Entry | None = None, used: float | None = None
) -> RotationInProgressError:
    """Return the error of a rotation that cannot begin, because another one is not over.

    Args:
        plan: of the rotation that cannot begin.
        old: the id of the key that was to be replaced.
        entry: that of the other rotation; None if another process works on it now.
        used: when the key that the other one replaces was last used, in seconds since 1970; None
            if that is not known.

    """
    state = None if entry is None else entry.state
    kind = RotationInProgressError
    if entry is not None and entry.plan.replaces is not None:
        old = entry.plan.replaces.key_id
    if entry is None:
        how, advice = "somebody is replacing it now", "wait for that"
    elif isinstance(state, Retiring) and not state.announced:
        how = f"{mask(entry.name)!r} has replaced it, but those who use it have not been told"
        advice = _TELL.format(mask(plan.name))
    elif is_in_use_for_too_long(entry, used, now()):
        kind = StillInUseError
        how = f"{mask(entry.name)!r} has replaced it, and it is still used{_last_use(used)}"
        advice = "find out by whom; `agentkeys sweep --force` deletes it"
    elif isinstance(state, Retiring):
        how = f"{mask(entry.name)!r} has replaced it, and it still retires"
        advice = "wait for that (`agentkeys status`), or end it now (`agentkeys sweep --force`)"
    else:
        how = f"{mask(entry.name)!r} is to replace it, and that was left unfinished"
        advice = "run `agentkeys sweep` first"
    return kind(
        f"the key {old} of {mask(plan.name)!r} is being replaced already: {how}: {advice}",
        name=plan.name,
        store=plan.store,
        key_id=old,
    )


def add_what_works(error: AgentKeysError, old: KeyId, store: str) -> None:
    """Say in an error of a rotation that the old key works, and where its secret is."""
    may_be_switched = isinstance(error, UncertainStoreError)
    where = "may be there no more" if may_be_switched else "is where it was"
    error.args = (f"{error}; the old key {old} works, and its secret {where}: {store}",)


def untold(outcome: Outcome, store: str) -> RotationError | None:
    """Return the error of a rotation whose users could not be told, if so."""
    entry = outcome.entry
    replaces = entry.plan.replaces
    is_cut_short = outcome.ending is Ending.STORED  # before anybody was told
    is_owed = is_cut_short and replaces is not None and replaces.must_announce
    if outcome.ending is not Ending.OWED and not is_owed:
        return None
    kinds = events.NotAnnounced | events.NotNoted | events.NotWeeded
    why = next((e.error for e in reversed(outcome.events) if isinstance(e, kinds)), None)
    return RotationError(
        f"the new key {entry.key_id} works, and its secret is stored: {store}; but those who use it"
        f" could not be told ({why}), so the old key {heard.replaced(outcome)} does not retire:"
        f" {_TELL.format(mask(entry.plan.name))}",
        name=entry.plan.name,
        store=store,
        key_id=entry.key_id,
    )


def not_aborted(outcome: Outcome) -> RotationError:
    """Return the error of a rotation that could not be taken back."""
    entry = outcome.entry
    why = heard.reason(outcome) or outcome.ending.value
    return RotationError(
        f"the rotation of {mask(entry.plan.name)!r} was not taken back: {why}; see"
        f" `agentkeys status` for the key {entry.key_id}, and try it again",
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
            why = "those who use it have not been told"
            errors = [e.error for e in outcome.events if isinstance(e, events.NotAnnounced)]
            why += f" ({errors[-1]})" if errors and errors[-1] else ""
            advice = f"sweep with --then, or `agentkeys ... announced {base}` when they have been"
        case Ending.IN_USE:
            why = f"it is used still{_last_use(_used(outcome))}"
            advice = "sweep with --force to delete it"
        case Ending.CHANGED if _is_ruined(outcome):
            why = f"the new key {entry.key_id} is not listed any more, and the old one works"
            advice = "abort the rotation (`agentkeys ... abort`), or issue another key"
        case Ending.CHANGED:
            why = f"{shown(entry.plan.store)} does not hold the new secret any more"
            advice = "put that back or abort the rotation (`agentkeys ... abort`), and sweep again"
        case Ending.FOREIGN:
            why, advice = "these credentials do not show whether it is there", "sweep with others"
        case Ending.LEFT:
            why, advice = f"it could not be deleted: {heard.reason(outcome)}", "sweep again later"
        case _:
            looks = [e for e in outcome.events if isinstance(e, events.CannotLook)]
            why, advice = heard.looked(looks), "see what the store holds, and sweep again"
    return (
        f"the key {old} of {base!r} was replaced by {entry.key_id}, and has not retired: {why}:"
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
