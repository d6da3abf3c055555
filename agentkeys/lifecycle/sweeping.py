"""`sweep`: finish what processes that died, and answers that were lost, have left behind."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys import arguments
from agentkeys.cancellation import Waiting
from agentkeys.errors import AgentKeysError
from agentkeys.keys import KeyCollection, Scope, checked_collection
from agentkeys.lifecycle.driving import callbacks, disk
from agentkeys.lifecycle.driving.callbacks import Then
from agentkeys.lifecycle.driving.driver import drive
from agentkeys.lifecycle.driving.looking import SweepingHands
from agentkeys.lifecycle.driving.rehearsing import LookingHands, Unwritten
from agentkeys.lifecycle.journal import Claimed, FileJournal
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import (
    Ending,
)
from agentkeys.lifecycle.outcomes import heard
from agentkeys.lifecycle.outcomes import issued as outcomes
from agentkeys.lifecycle.outcomes.results import Swept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.machine.states import KeyId

    AnyKeys = KeyCollection[Any, Any, Any]

__all__ = ["sweep", "sweep_own"]

logger: Final = logging.getLogger("agentkeys")


async def sweep(
    keys: KeyCollection[Any, Any, Any],
    *,
    timeout: float | None = None,
    scope: Scope | None = None,
    then: Then | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> Swept:
    """Finish what was begun here by processes that are gone, and retire what is due.

    If no answer was received to a create, the key whose name ends in its nonce is deleted. If
    it did, that key is deleted if the store never held its secret. If that cannot be known, as
    the store is absent or another one, the key stays, and `unresolved` has a sentence about it.
    Entries of processes that live are left alone. If there is nothing to sweep, no request is
    sent.

    A rotation is finished in the same way, and a key that was replaced is deleted when its grace is
    over, nobody uses it, and its successor's secret is still in the store.

    Args:
        keys: where the keys were to be made.
        timeout: seconds for all of it; the client's own if None.
        scope: as it was given to `issue`; ``keys.scope`` if None.
        then: tells those who use a key that was replaced, as for `rotate`; it is called for each
            rotation of which they have not been told.
        force: delete the keys that were replaced at once, though they may be used.
        dry_run: look, and say what would be done, but change nothing.

    Raises:
        RequestError: the keys could not be listed. What is not finished can be swept again.
        InvalidArgumentError: nothing was sent.

    """
    checked_collection(keys, "sweep", blocking=False)
    seconds = keys.timeout if timeout is None else arguments.timeout(timeout)
    own = scope or keys.scope
    how = _How(callbacks.checked("then", then), force, dry_run)
    return await _swept(keys, own, own.is_at, seconds, how)


@attrs.frozen
class _How:
    """How it is swept; see `sweep`."""

    then: Then | None = None
    force: bool = False
    dry_run: bool = False


async def sweep_own(keys: AnyKeys, scope: Scope, seconds: float) -> None:
    """Sweep the very scope of a key that is about to be issued; what fails can be done later."""
    try:
        swept = await _swept(keys, scope, scope.is_of, seconds)
    except AgentKeysError as error:
        logger.debug("the sweep before issuing a key ended early: %s", error)
    else:
        for sentence in swept.unresolved:
            logger.warning("%s", sentence)


async def _swept(
    keys: AnyKeys,
    own: Scope,
    is_wanted: Callable[[Scope], bool],
    seconds: float,
    how: _How = _How(),  # it is frozen
) -> Swept:
    claim = partial(FileJournal().claim, is_wanted)
    claimed = await disk.in_thread(claim, undo=Claimed.release)
    waiting = Waiting(seconds, grace=0.0)
    kind = LookingHands if how.dry_run else SweepingHands
    hands = kind(keys, own, waiting, how.then)
    found: list[Outcome] = []
    try:
        for owned in claimed.entries:
            mine = Unwritten(owned) if how.dry_run else owned
            found.append(await drive(mine, events.Resumed(how.force), hands, waiting))
            _raise_what_stops_it(found[-1], waiting)
    finally:
        claimed.release()
    return _summed_up(found, claimed.unreadable)


def _raise_what_stops_it(outcome: Outcome, waiting: Waiting) -> None:
    waiting.raise_cancellation()
    error = heard.not_listed(outcome)
    if error is not None:
        raise error


def _summed_up(found: Sequence[Outcome], unreadable: Sequence[str]) -> Swept:
    stored = tuple(each.entry.key_id for each in found if each.ending is Ending.STORED)
    retired = tuple(_replaced(found, Ending.RETIRED))
    retiring = tuple(_replaced(found, Ending.RETIRING))
    waiting = tuple(each.entry.name for each in found if each.ending is Ending.MAY_COME)
    sentences = tuple(outcomes.unresolved(each) for each in found if each.ending in _FOR_A_PERSON)
    deleted = tuple(key_id for each in found for key_id in heard.deleted(each))
    return Swept(deleted, stored, waiting, (*sentences, *unreadable), retired, retiring)


def _replaced(found: Sequence[Outcome], ending: Ending) -> Iterator[KeyId]:
    for each in found:
        key_id = heard.replaced(each)
        if each.ending is ending and key_id is not None:
            yield key_id


_FOR_A_PERSON: Final = frozenset(
    {
        *(Ending.LEFT, Ending.UNPROVEN, Ending.FOREIGN, Ending.UNKNOWN, Ending.HELD),
        *(Ending.OWED, Ending.IN_USE, Ending.CHANGED),
    }
)
