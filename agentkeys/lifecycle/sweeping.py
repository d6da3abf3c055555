"""`sweep`: finish the work of processes that died, and of calls whose answers were lost."""

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
from agentkeys.lifecycle.journal import Claimed, Journal
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import (
    Ending,
)
from agentkeys.lifecycle.outcomes import heard
from agentkeys.lifecycle.outcomes import issued as outcomes
from agentkeys.lifecycle.outcomes.results import Swept
from agentkeys.lifecycle.remembering import Given, opened, sealed

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
    journal: Given = None,
) -> Swept:
    """Finish what dead processes left in this scope, and delete replaced keys that are due.

    If a create received no answer, `sweep` deletes the key whose name ends in its nonce. If it
    received the answer, `sweep` reads the store, and deletes the key if the store provably never
    held its secret. If that is not known, because the store is absent or is another one, the key
    stays, and `unresolved` has a sentence about it. Entries of running processes are not changed.
    If there is nothing to sweep, `sweep` sends no request.

    A rotation is finished in the same way. A replaced key is deleted when its grace period is over,
    nobody uses it, and its successor's secret is still in the store.

    Args:
        keys: the collection in which the keys were to be created.
        timeout: seconds for the whole call; defaults to the client's timeout.
        scope: the scope that was passed to `issue`; defaults to ``keys.scope``.
        then: announces a replaced key to its users, as in `rotate`; it is called for each rotation
            that is not yet announced.
        force: delete replaced keys now, even if they are in use.
        dry_run: report what would be done, and change nothing.
        journal: what remembers the keys, or its address; that of the environment if None.

    Raises:
        RequestError: the keys could not be listed. Unfinished work can be swept again.
        InvalidArgumentError: no request was sent.
    """
    journal = sealed(journal)
    checked_collection(keys, "sweep", blocking=False)
    seconds = keys.timeout if timeout is None else arguments.timeout(timeout)
    own = scope or keys.scope
    how = _How(callbacks.checked("then", then), force, dry_run)
    return await _swept(keys, own, own.is_at, seconds, opened(journal), how=how)


@attrs.frozen
class _How:
    """The options of a sweep; see `sweep`."""

    then: Then | None = None
    force: bool = False
    dry_run: bool = False


async def sweep_own(keys: AnyKeys, scope: Scope, seconds: float, journal: Journal) -> None:
    """Sweep the exact scope of a key that is about to be issued; ignore failures."""
    try:
        swept = await _swept(keys, scope, scope.is_of, seconds, journal)
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
    journal: Journal,
    *,
    how: _How = _How(),  # it is frozen
) -> Swept:
    waiting = Waiting(seconds, grace=0.0)
    claim = partial(journal.claim, is_wanted, own)
    claimed = await disk.in_time(claim, seconds, undo=Claimed.release)
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
