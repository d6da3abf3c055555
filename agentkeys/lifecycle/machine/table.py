"""The next step for a key: one row for each pair of state and event. Nothing else decides.

`advance` is pure. The driver notes the entry that it returns, runs the command, and calls it again
with the command's event. A key is deleted on proof alone: its name has our nonce and no store was
changed, or the store was read and does not hold its secret. "Cannot look" is an event of its own,
and proves nothing.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from agentkeys.lifecycle.machine import retiring
from agentkeys.lifecycle.machine.commands import (
    Create,
    Delete,
    End,
    Ending,
    Find,
    Look,
    Verify,
    Weed,
    Write,
)
from agentkeys.lifecycle.machine.events import (
    Begin,
    CannotList,
    CannotLook,
    Deleted,
    Event,
    Holds,
    Lacks,
    Listed,
    Lost,
    Made,
    NotDeleted,
    NotNoted,
    NotWeeded,
    NotWritten,
    Refused,
    Resumed,
    Unsent,
    Unusable,
    Verified,
    Weeded,
    WriteUnknown,
    Written,
)
from agentkeys.lifecycle.machine.moments import Moment, elapsed
from agentkeys.lifecycle.machine.retiring import WRITE_PATIENCE
from agentkeys.lifecycle.machine.rows import Move, Table, closed, end, noting, over, then
from agentkeys.lifecycle.machine.states import (
    Asking,
    Denied,
    Dropping,
    Entry,
    Kept,
    Ousting,
    Retiring,
    Writing,
)

__all__ = ["LONGEST", "PATIENCE", "TABLE", "advance"]

PATIENCE: Final = 600.0
"""Seconds for which a missing key is looked for again: a service may make it late."""

LONGEST: Final = 86400.0
"""Seconds after which a request is given up somewhere on its way."""


def advance(entry: Entry, event: Event, now: Moment, table: Table | None = None) -> Move:
    """Return the next step.

    Args:
        entry: the entry in the journal.
        event: the event of the last command.
        now: the time for the next entry.
        table: the rows; a test breaks some of them.
    """
    row = (TABLE if table is None else table)[type(entry.state), type(event)]
    return row(entry, entry.state, event, now)


def _lend_verify_or_write(entry: Entry, _: Asking, made: Made, now: Moment) -> Move:
    if not entry.plan.store:
        return _lend(entry, made)
    if entry.plan.replaces is not None:
        return Move(entry, Verify(made))
    return _write(entry, made, now)


def _lend(entry: Entry, made: Made) -> Move:
    # From now on, any sweep that finds no driver of this entry deletes the key.
    if made.key_id is not None:
        return noting(entry, Dropping(made.key_id), End(Ending.LENT))
    return Move(entry, Find())  # an unreadable answer with only a secret cannot be lent


def _write_what_works(entry: Entry, _: Asking, verified: Verified, now: Moment) -> Move:
    return _write(entry, verified.made, now)


def _write(entry: Entry, made: Made, now: Moment) -> Move:
    state = Writing(made.key_id, made.digest, made.alone, now, late=entry.plan.late_write)
    return Move(entry, Write(state))


def _remove_what_does_not_work(entry: Entry, _: Asking, failed: Unusable, __: Moment) -> Move:
    return Move(entry, _removal(entry, failed.made))


def _ask_why_it_was_refused(entry: Entry, _: Asking, __: Refused, ___: Moment) -> Move:
    # Without a nonce, a key of that name may be anyone's, and the refusal is all that is known.
    if entry.plan.exact:
        return closed(entry, Ending.REFUSED)
    return Move(attrs.evolve(entry, state=Denied()), Find())


def _delete_by_nonce_or_wait(entry: Entry, state: Asking, listed: Listed, _: Moment) -> Move:
    if listed.ids and entry.plan.exact:
        return Move(entry, End(Ending.UNPROVEN))
    if listed.ids:
        return Move(entry, Delete(listed.ids))
    if not listed.whole:
        return Move(entry, End(Ending.FOREIGN))
    seconds = elapsed(state.begun, listed.asked)
    if seconds is None:  # the time is not known, so it counts from now
        state = attrs.evolve(state, begun=listed.asked)
        return Move(attrs.evolve(entry, state=state), End(Ending.MAY_COME))
    if seconds < min(state.seconds, LONGEST) + PATIENCE:
        return Move(entry, End(Ending.MAY_COME))
    return closed(entry, Ending.GONE)


def _delete_unnoted(entry: Entry, _: Asking, failed: NotNoted, __: Moment) -> Move:
    """Continue without the note: by the noted entry, no store was changed either."""
    if isinstance(failed.wanted, Writing):
        return Move(entry, _removal(entry, failed.wanted))
    return Move(entry, Find())


def _removal(entry: Entry, writing: Writing | Made) -> Delete | Find:
    """Return the command that deletes a key whose answer this process received.

    If there were other tries, their keys have the same name, and a listing finds all of them.
    """
    if writing.key_id is not None and (writing.alone or entry.plan.exact):
        return Delete((writing.key_id,))
    return Find()


def _delete_what_was_denied(entry: Entry, _: Denied, listed: Listed, __: Moment) -> Move:
    if listed.ids:
        return Move(entry, Delete(listed.ids))
    if not listed.whole:
        return Move(entry, End(Ending.FOREIGN))
    return closed(entry, Ending.REFUSED)


def _believe_the_refusal(entry: Entry, _: Denied, failed: CannotList, __: Moment) -> Move:
    # Credentials that cannot list these keys cannot create any either.
    if failed.refused:
        return closed(entry, Ending.REFUSED)
    return Move(entry, End(Ending.REFUSED))


def _note_that_it_may_come(entry: Entry, state: Writing, _: WriteUnknown, now: Moment) -> Move:
    late = max(state.late, WRITE_PATIENCE)
    return Move(
        attrs.evolve(entry, state=attrs.evolve(state, begun=now, late=late)), Look(late=True)
    )


def _weed_or_keep(entry: Entry, state: Writing, event: Written | Holds, now: Moment) -> Move:
    # A rejected try may have made a key nevertheless. That key has our nonce.
    if state.alone or entry.plan.exact or state.key_id is None:
        return _kept(entry, state, now, is_new=isinstance(event, Written))
    return Move(entry, Weed(but=state.key_id))


def _keep(entry: Entry, state: Writing, _: Weeded, now: Moment) -> Move:
    return _kept(entry, state, now)


def _kept(entry: Entry, state: Writing, now: Moment, *, is_new: bool = False) -> Move:
    if entry.plan.replaces is not None:
        return retiring.switched(entry, state, now, is_new=is_new)
    return noting(entry, Kept(state.key_id, state.digest, now, state.found), End(Ending.STORED))


def _drop_or_wait(entry: Entry, state: Writing, lacks: Lacks, _: Moment) -> Move:
    seconds = elapsed(state.begun, lacks.asked) if lacks.late and state.late else math.inf
    if seconds is None:
        state = attrs.evolve(state, begun=lacks.asked)
        return Move(attrs.evolve(entry, state=state), End(Ending.MAY_COME))
    if seconds < state.late:
        return Move(entry, End(Ending.MAY_COME))
    dropping = attrs.evolve(entry, state=Dropping(state.key_id))
    # The id from the journal may belong to another key by now.
    return Move(dropping, Find() if lacks.late else _removal(entry, state))


def _go_on_without_the_note(entry: Entry, state: Writing, failed: NotNoted, _: Moment) -> Move:
    # A later sweep reads whether the store holds the secret, or what happened to the key.
    if isinstance(failed.wanted, Kept | Retiring | Ousting):
        return Move(entry, End(Ending.STORED))
    if isinstance(failed.wanted, Writing):
        return Move(entry, End(Ending.HELD))
    removal = _removal(entry, state)
    return Move(entry, End(Ending.LEFT) if isinstance(removal, Find) else removal)


def _see_whether_it_is_gone(entry: Entry, _: Writing, listed: Listed, __: Moment) -> Move:
    if listed.whole and not listed.ids:
        return closed(entry, Ending.GONE)
    return Move(entry, End(Ending.UNKNOWN))


def _drop(entry: Entry, _: Dropping, listed: Listed, __: Moment) -> Move:
    if not listed.ids:
        return closed(entry, Ending.GONE) if listed.whole else Move(entry, End(Ending.FOREIGN))
    # There may be several keys of an exact name, and the id alone may belong to another key by now.
    if entry.plan.exact:
        return Move(entry, End(Ending.UNPROVEN))
    return Move(entry, Delete(listed.ids))


TABLE: Final[Table] = {
    (Asking, Begin): then(Create()),
    (Asking, Made): _lend_verify_or_write,
    (Asking, Verified): _write_what_works,
    (Asking, Unusable): _remove_what_does_not_work,
    (Asking, Unsent): over(Ending.REFUSED),
    (Asking, Refused): _ask_why_it_was_refused,
    (Asking, Lost): then(Find()),
    (Asking, Resumed): then(Find()),
    (Asking, Listed): _delete_by_nonce_or_wait,
    (Asking, CannotList): end(Ending.LEFT),
    (Asking, Deleted): over(Ending.DROPPED),
    (Asking, NotDeleted): end(Ending.LEFT),
    (Asking, NotNoted): _delete_unnoted,
    (Denied, Resumed): then(Find()),
    (Denied, Listed): _delete_what_was_denied,
    (Denied, CannotList): _believe_the_refusal,
    (Denied, Deleted): over(Ending.DROPPED),
    (Denied, NotDeleted): end(Ending.LEFT),
    (Writing, Resumed): then(Look(late=True)),
    (Writing, Written): _weed_or_keep,
    (Writing, NotWritten): then(Look(late=False)),
    (Writing, WriteUnknown): _note_that_it_may_come,
    (Writing, Holds): _weed_or_keep,
    (Writing, Weeded): _keep,
    (Writing, NotWeeded): end(Ending.STORED),
    (Writing, Lacks): _drop_or_wait,
    (Writing, CannotLook): then(Find()),
    (Writing, Listed): _see_whether_it_is_gone,
    (Writing, CannotList): end(Ending.UNKNOWN),
    (Writing, Deleted): over(Ending.DROPPED),
    (Writing, NotDeleted): end(Ending.LEFT),
    (Writing, NotNoted): _go_on_without_the_note,
    (Dropping, Resumed): then(Find()),
    (Dropping, Listed): _drop,
    (Dropping, CannotList): end(Ending.LEFT),
    (Dropping, Deleted): over(Ending.DROPPED),
    (Dropping, NotDeleted): end(Ending.LEFT),
    **retiring.ROWS,
}
"""One row for each pair of state and event that can meet."""
