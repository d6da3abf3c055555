"""Carries out what was decided about one declared key, by the ways in of the lifecycle.

It knows nothing of the command line, and runs as well in a worker of a queue.
"""

from __future__ import annotations

from collections.abc import Container
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys.auditing.facts import Unread
from agentkeys.fleet.around import Around
from agentkeys.fleet.deciding import Step, decide
from agentkeys.fleet.looking import held_at, listed_at
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.fleet.pruning import prune
from agentkeys.keys import KeyCollection, Scope
from agentkeys.lifecycle import adopt, issue, rotate, sweep
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.callbacks import Then, Verify
from agentkeys.lifecycle.journal import Remembered
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.states import Asking, KeyId
from agentkeys.lifecycle.remembering import opened
from agentkeys.records import Record

if TYPE_CHECKING:
    from agentkeys.lifecycle import Swept

__all__ = ["BUSY", "Done", "How", "carry_out", "decided", "decided_among", "reconcile"]


@attrs.frozen
class How:
    """How steps are carried out.

    Attributes:
        timeout: seconds for each of them; the client's own if None.
        verify: tries a new secret, as for `rotate`.
        then: tells those who use a key, as for `rotate` and `sweep`.
    """

    timeout: float | None = None
    verify: Verify | None = None
    then: Then | None = None


@attrs.frozen
class Done(Record):
    """What became of a step.

    Attributes:
        step: what was done; if it says "wait", "nothing" or "unclear", no more than that was found.
        key_id: the key that is there now; None if there is none, or its id is not known.
        deleted: the ids of the keys that were deleted.
    """

    step: Step
    key_id: KeyId | None = None
    deleted: tuple[KeyId, ...] = ()


_HOW: Final = How()

BUSY: Final = "another process works on it"
"""Why nothing was done about a key for the moment."""


async def reconcile(
    declared: Declared,
    keys: KeyCollection[Any, Any, Any],
    *,
    how: How = _HOW,
    scope: Scope | None = None,
) -> Done:
    """Look at everything about a declared key, decide what is to be done, and do that.

    It is harmless to repeat: what is as declared is left alone.

    Args:
        declared: the key.
        keys: the keys of its place; see `places.keys_at`.
        how: how it is done.
        scope: as it is given to `issue`; ``keys.scope`` if None.

    Raises:
        AgentKeysError: it was not done, or not wholly, as `issue`, `rotate`, `adopt` and `sweep`
            raise it.

    """
    step = await decided(declared, keys, seconds=_seconds(keys, how), scope=scope)
    return await carry_out(step, keys, how=how, scope=scope)


async def decided(
    declared: Declared,
    keys: KeyCollection[Any, Any, Any],
    *,
    seconds: float,
    scope: Scope | None = None,
    but: Container[str] = (),
) -> Step:
    """Look at everything about a declared key, and return what is to be done.

    Args:
        declared: the key.
        keys: the keys of its place.
        seconds: for the listing, and again for the store.
        scope: as it is given to `issue`; ``keys.scope`` if None.
        but: the names of attempts of which it is known that they are nobody's, and that their keys
            may come late; a later sweep deletes those.

    """
    place = scope or keys.scope
    remembered = await disk.in_thread(partial(opened().remembered, place.is_at, place))
    entries = tuple(
        seen
        for seen in remembered.entries
        if not (isinstance(seen.entry.state, Asking) and seen.entry.name in but)
    )
    ledger = Remembered(entries, remembered.unreadable)
    listed = await listed_at(keys, place, seconds)
    return await decided_among(declared, keys, Around(ledger, listed), seconds)


async def decided_among(
    declared: Declared, keys: KeyCollection[Any, Any, Any], around: Around, seconds: float
) -> Step:
    """Look into the store of a declared key, and return what is to be done."""
    ledger, listed = around.of(declared)
    among = () if isinstance(listed.keys, Unread) else listed.keys
    store = await held_at(declared.store, keys, among, seconds)
    return decide(declared, ledger, listed, store, now())


async def carry_out(
    step: Step,
    keys: KeyCollection[Any, Any, Any],
    *,
    how: How = _HOW,
    scope: Scope | None = None,
) -> Done:
    """Do what was decided about a declared key.

    Each step checks again what it relies on: a store that holds a secret by now is
    not written to, and a key that was replaced by now is not replaced again.

    Args:
        step: what was decided; "wait", "nothing" and "unclear" do nothing.
        keys: the keys of the place; see `places.keys_at`.
        how: how it is done.
        scope: as it is given to `issue`; ``keys.scope`` if None.

    Raises:
        AgentKeysError: it was not done, or not wholly, as `issue`, `rotate`, `adopt` and `sweep`
            raise it.

    """
    declared, place = step.declared, scope or keys.scope
    more: dict[str, Any] = {"timeout": how.timeout, "scope": place}
    match step.do:
        case "issue":
            return await _issued(step, keys, how, more)
        case "rotate":
            rotated = await rotate(
                keys,
                declared.name,
                into=declared.store,
                grace=declared.grace,
                max_grace=declared.max_grace,
                replaces=step.key_id,
                verify=how.verify,
                then=how.then,
                **more,
            )
            return Done(step, rotated.key.id, rotated.recovered)
        case "adopt":
            assert step.key_id is not None  # noqa: S101  # it was decided by that
            await adopt(keys, step.key_id, into=declared.store, name=declared.name, **more)
            return Done(step, step.key_id)
        case "retire" | "finish":
            return await _finished(step, keys, how, more)
        case "prune":
            deleted = await prune(step, keys, place, _seconds(keys, how))
            return Done(step, deleted=deleted)
    return Done(step, step.key_id)


async def _issued(
    step: Step, keys: KeyCollection[Any, Any, Any], how: How, more: dict[str, Any]
) -> Done:
    declared = step.declared
    if step.replace:  # directly before, for nothing else keeps what the store holds from harm
        seconds = _seconds(keys, how)
        step = await decided(declared, keys, seconds=seconds, scope=more["scope"])
        if step.do != "issue":
            return Done(step, step.key_id)
    if declared.permissions is not None:
        more = {**more, "permissions": declared.permissions}
    issued = await issue(keys, declared.name, into=declared.store, replace=step.replace, **more)
    return Done(step, issued.key.id, issued.recovered)


async def _finished(
    step: Step, keys: KeyCollection[Any, Any, Any], how: How, more: dict[str, Any]
) -> Done:
    """Finish what was left at the place, and go on from what is known then."""
    swept = await sweep(keys, then=how.then, **more)
    deleted = (*swept.deleted, *swept.retired)
    seconds = _seconds(keys, how)
    again = await decided(
        step.declared, keys, seconds=seconds, scope=more["scope"], but=swept.waiting
    )
    if again.do in {"finish", "retire"}:
        return Done(_left(again, swept), again.key_id, deleted)
    if again.do == "nothing":
        return Done(step, again.key_id, deleted)
    done = await carry_out(again, keys, how=how, scope=more["scope"])
    return attrs.evolve(done, deleted=(*deleted, *done.deleted))


def _left(step: Step, swept: Swept) -> Step:
    """Return what is said of an attempt that a sweep has not finished."""
    if swept.unresolved:
        return attrs.evolve(step, do="unclear", why="; ".join(swept.unresolved))
    return attrs.evolve(step, do="wait", why=BUSY)


def _seconds(keys: KeyCollection[Any, Any, Any], how: How) -> float:
    return keys.timeout if how.timeout is None else how.timeout
