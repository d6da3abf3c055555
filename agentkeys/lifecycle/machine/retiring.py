"""The rows for a replaced key: how long it stays valid, and how a rotation is aborted.

The key is deleted on proof alone: right before, the new secret was read in the store again, all
users have been told, the grace is over, and nobody uses the old key. Its deletion is noted first,
because after that the rotation cannot be aborted.
"""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

from agentkeys.lifecycle.machine.commands import (
    Announce,
    Delete,
    End,
    Ending,
    Find,
    Look,
    Restore,
    Watch,
)
from agentkeys.lifecycle.machine.events import (
    Abort,
    Announced,
    CannotList,
    CannotLook,
    Deleted,
    Holds,
    Lacks,
    NotAnnounced,
    NotDeleted,
    NotNoted,
    NotWritten,
    Resumed,
    Watched,
    WriteUnknown,
    Written,
)
from agentkeys.lifecycle.machine.moments import Moment, aged, before, elapsed
from agentkeys.lifecycle.machine.rows import Move, Table, end, noting, then
from agentkeys.lifecycle.machine.states import (
    Dropping,
    Entry,
    Kept,
    Ousting,
    Restoring,
    Retiring,
    Writing,
)

__all__ = ["ROWS", "WRITE_PATIENCE", "is_in_use_for_too_long", "switched"]

WRITE_PATIENCE: Final = 60.0
"""Seconds for which a write that was given up may still arrive, from a thread that hangs."""


def switched(entry: Entry, state: Writing, now: Moment, *, is_new: bool) -> Move:
    """Continue after the store holds the secret of a key that replaces another one.

    Args:
        entry: the entry of the new key.
        state: its state.
        now: when the secret was seen in the store.
        is_new: whether the store has just read it back, and the old key was just listed.
    """
    is_told = not entry.replaced.must_announce
    retiring = Retiring(state.key_id, state.digest, now, now, is_told, state.found)
    if is_new and is_told and not entry.replaced.grace:
        return _oust(entry, retiring, Holds(), now)
    return noting(entry, retiring, _next(entry, retiring, now))


def _next(entry: Entry, state: Retiring, now: Moment, *, force: bool = False) -> Any:
    """Return the next step for a retiring key: its users are told, and then its grace begins."""
    if not state.announced:
        return Announce()
    seconds = aged(state.since, now)
    is_due = seconds is not None and seconds >= entry.replaced.grace
    return Watch(force) if is_due or force else End(Ending.RETIRING)


def _go_on(entry: Entry, state: Retiring, resumed: Resumed, now: Moment) -> Move:
    if aged(state.since, now) is None:  # the time is not known, so it counts from now
        state = attrs.evolve(state, since=now, switched=now)
    return noting(entry, state, _next(entry, state, now, force=resumed.force))


def _begin_the_grace(entry: Entry, state: Retiring, _: Announced, now: Moment) -> Move:
    state = attrs.evolve(state, announced=True, since=now)
    return noting(entry, state, _next(entry, state, now))


def _oust_if_quiet(entry: Entry, state: Retiring, watched: Watched, now: Moment) -> Move:
    if not (watched.is_there and watched.is_replaced):
        return _gone(entry, state, watched, now)
    quiet = _quiet(state, watched.used, now)
    if watched.force or quiet >= entry.replaced.grace:
        return Move(entry, Look(late=False))
    if is_in_use_for_too_long(entry, watched.used, now):
        return Move(entry, End(Ending.IN_USE))
    # The grace begins anew with each use.
    since = before(now, quiet)
    return noting(entry, attrs.evolve(state, since=since), End(Ending.RETIRING))


def is_in_use_for_too_long(entry: Entry, used: float | None, now: Moment) -> bool:
    """Return whether a replaced key is still in use after its longest grace.

    Args:
        entry: the entry of the key that replaced it.
        used: when the replaced key was last used, in seconds since 1970; None if not known.
        now: this moment.
    """
    state = entry.state
    if not isinstance(state, Retiring) or not state.announced:
        return False
    lasts = aged(state.switched, now)
    is_over = lasts is not None and lasts >= entry.replaced.longest
    return is_over and _quiet(state, used, now) < entry.replaced.grace


def _quiet(state: Retiring, used: float | None, now: Moment) -> float:
    """Return for how many seconds the key has not been used, since its grace began."""
    lasts = aged(state.since, now) or 0.0
    if used is None or used <= state.switched.wall:
        return lasts
    return min(max(now.wall - used, 0.0), lasts)


def _gone(entry: Entry, state: Retiring | Ousting, watched: Watched, now: Moment) -> Move:
    # The key may exist nevertheless, if these credentials do not see it.
    if not watched.whole:
        return Move(entry, End(Ending.FOREIGN))
    # The old key works, or someone else has deleted both.
    if not watched.is_replaced:
        return Move(entry, End(Ending.CHANGED))
    return _retired(entry, state, None, now)


def _retired(entry: Entry, state: Retiring | Ousting, _: Deleted | None, now: Moment) -> Move:
    kept = Kept(state.key_id, state.digest, now, state.found)
    return noting(entry, kept, End(Ending.RETIRED))


def _oust(entry: Entry, state: Retiring, _: Holds, __: Moment) -> Move:
    ousting = Ousting(state.key_id, state.digest, state.switched, state.found)
    return noting(entry, ousting, _deletion(entry))


def _deletion(entry: Entry) -> Delete:
    return Delete((entry.replaced.key_id,))


def _oust_again(entry: Entry, state: Ousting, watched: Watched, now: Moment) -> Move:
    if not (watched.is_there and watched.is_replaced):
        return _gone(entry, state, watched, now)
    return Move(entry, Look(late=False))


def _delete_now(entry: Entry, _: Ousting, __: Holds, ___: Moment) -> Move:
    return Move(entry, _deletion(entry))


def _go_back(entry: Entry, state: Retiring, abort: Abort, now: Moment) -> Move:
    restoring = Restoring(state, abort.digest, now, entry.plan.late_write, state.found)
    return noting(entry, restoring, Restore())


def _note_that_it_may_come(entry: Entry, state: Restoring, _: WriteUnknown, now: Moment) -> Move:
    late = max(state.late, WRITE_PATIENCE)
    return noting(entry, attrs.evolve(state, begun=now, late=late), Look(late=True))


def _drop_the_new_key(entry: Entry, state: Restoring, _: Written | Holds, __: Moment) -> Move:
    return noting(entry, Dropping(state.key_id), Find())


def _stay_or_wait(entry: Entry, state: Restoring, lacks: Lacks, now: Moment) -> Move:
    seconds = elapsed(state.begun, lacks.asked) if lacks.late and state.late else math.inf
    if seconds is None:
        return noting(entry, attrs.evolve(state, begun=lacks.asked), End(Ending.MAY_COME))
    if seconds < state.late:
        return Move(entry, End(Ending.MAY_COME))
    # The new secret is still in the store, or another one is: the retirement of the old key will
    # tell.
    return noting(entry, attrs.evolve(state.retiring, since=now), End(Ending.RETIRING))


ROWS: Final[Table] = {
    (Retiring, Resumed): _go_on,
    (Retiring, Announced): _begin_the_grace,
    (Retiring, NotAnnounced): end(Ending.OWED),
    (Retiring, Watched): _oust_if_quiet,
    (Retiring, CannotList): end(Ending.RETIRING),
    (Retiring, Holds): _oust,
    (Retiring, Lacks): end(Ending.CHANGED),
    (Retiring, CannotLook): end(Ending.UNKNOWN),
    (Retiring, NotNoted): end(Ending.RETIRING),
    (Retiring, Abort): _go_back,
    (Ousting, Resumed): then(Watch(force=True)),
    (Ousting, Watched): _oust_again,
    (Ousting, CannotList): end(Ending.LEFT),
    (Ousting, Holds): _delete_now,
    (Ousting, Lacks): end(Ending.CHANGED),
    (Ousting, CannotLook): end(Ending.UNKNOWN),
    (Ousting, Deleted): _retired,
    (Ousting, NotDeleted): end(Ending.LEFT),
    (Ousting, NotNoted): end(Ending.RETIRED),
    (Restoring, Written): _drop_the_new_key,
    (Restoring, NotWritten): then(Look(late=False)),
    (Restoring, WriteUnknown): _note_that_it_may_come,
    (Restoring, Resumed): then(Look(late=True)),
    (Restoring, Holds): _drop_the_new_key,
    (Restoring, Lacks): _stay_or_wait,
    (Restoring, CannotLook): end(Ending.UNKNOWN),
    (Restoring, NotNoted): end(Ending.UNKNOWN),
}
