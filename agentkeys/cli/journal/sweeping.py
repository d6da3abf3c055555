"""`agentkeys sweep`: sweep each place with unfinished entries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys import status, sweep
from agentkeys.cli.ground import output, programs
from agentkeys.cli.ground.codes import FAILED, FOR_A_PERSON, UNDER_WAY
from agentkeys.cli.ground.interruption import run_interruptibly
from agentkeys.cli.ground.services import Target, run
from agentkeys.cli.keys import verbs
from agentkeys.cli.keys.known import HOW, SERVICES
from agentkeys.cli.keys.upkeep import moment
from agentkeys.errors import AgentKeysError, NotFoundError
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.remembering import opened
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Service
    from agentkeys.keys import KeyCollection, Scope
    from agentkeys.lifecycle import Swept
    from agentkeys.lifecycle.journal import Remembered
    from agentkeys.lifecycle.machine.states import KeyId

__all__ = ["Sweeping"]


@dataclass(frozen=True)
class _Place:
    """The result of a sweep at one place.

    Attributes:
        swept: the result of the sweep.
        successors: the names of the keys that have replaced others, by the ids of the others.
        dates: when the replaced keys retire, as far as known.
    """

    swept: Swept
    successors: Mapping[KeyId, str]
    dates: Mapping[KeyId | None, datetime | None]

    def replaced(self, key_id: KeyId) -> str:
        """Return a phrase for the replaced key."""
        name = self.successors.get(key_id)
        return f"{key_id}, which {name} has replaced" if name else f"{key_id}, which was replaced"


class Sweeping:
    """A sweep of every place with unfinished entries; see `agentkeys.sweep`."""

    def __init__(
        self, options: Options, then: Sequence[str] | None, *, force: bool, dry_run: bool
    ) -> None:
        tell = programs.telling(then, options.timeout)
        self._how: Mapping[str, Any] = {"then": tell, "force": force, "dry_run": dry_run}
        self._deleted = "would delete" if dry_run else "deleted"
        self._options = options
        self._left = run_interruptibly(disk.in_time(opened().survey, options.timeout))
        self._places: list[_Place] = []
        self._not_looked_at: list[str] = []

    def run(self) -> None:
        """Sweep all places; a failure at one service must not stop the sweep at the others."""
        scopes = self._left.scopes
        self._not_looked_at += _of_others(scopes)
        for service in SERVICES:
            target: Target[Any, Any] = Target(service, lambda client: client)
            own = {str(scope): scope for scope in scopes if scope.service == service.name}
            try:
                if own:
                    run(self._options, target, partial(self._sweep, service, own))
            except AgentKeysError as error:
                self._not_looked_at.append(mask(str(error)))

    async def _sweep(self, service: Service[Any], scopes: Mapping[str, Scope], client: Any) -> None:
        for said, wanted in sorted(scopes.items()):
            place = f"the unfinished work of {said}"
            try:
                found = await self._swept(service.keys_at(client, wanted), wanted)
            except NotFoundError as error:
                why = f"{place} could not be swept: {mask(str(error))}; {_way_out()}"
            except AgentKeysError as error:
                why = f"{place} could not be swept: {mask(str(error))}"
            else:
                if found is not None:
                    self._places.append(found)
                    continue
                why = f"{place} was not swept: {HOW}; {_way_out()}"
            self._not_looked_at.append(why)

    async def _swept(
        self, keys: KeyCollection[Any, Any, Any] | None, wanted: Scope
    ) -> _Place | None:
        """Sweep the keys of one place; return None if *keys* belong to another place."""
        if keys is None:
            return None
        scope = verbs.scope_of(self._options, keys)
        if not scope.is_at(wanted):
            return None
        swept = await sweep(keys, scope=scope, **self._how)
        retiring = (await status(keys, scope=scope)).retiring
        dates = {each.retires: each.retires_at for each in retiring}
        return _Place(swept, dict(_successors(self._left, scope)), dates)

    def report(self) -> None:
        """Print the result, and exit with its exit code."""
        # Each sweep returns the unreadable entries.
        unresolved = [*dict.fromkeys((*self._left.unreadable, *self._all("unresolved")))]
        sentences = [*unresolved, *self._not_looked_at]
        if self._options.json:
            fields = {name: self._all(name) for name in _FIELDS}
            output.write(output.as_json({**fields, "unresolved": sentences}))
        else:
            for place in self._places:
                _report(place, self._deleted)
        for sentence in sentences:
            output.report(sentence, in_json=self._options.json)
        is_under_way = self._all("waiting") or self._all("retiring")
        code = FOR_A_PERSON if unresolved else FAILED if self._not_looked_at else 0
        if code or is_under_way:
            raise click.exceptions.Exit(code or UNDER_WAY)

    def _all(self, name: str) -> list[Any]:
        """Return an attribute of `Swept`, for all places."""
        return [each for place in self._places for each in getattr(place.swept, name)]


def _successors(left: Remembered, scope: Scope) -> Iterator[tuple[KeyId, str]]:
    """Return the names of keys that replace others, with the ids of the others."""
    for each in left.entries:
        plan = each.entry.plan
        if plan.replaces is not None and scope.is_at(plan.scope):
            yield plan.replaces.key_id, each.entry.name


def _of_others(scopes: Iterable[Scope]) -> list[str]:
    """Return sentences about the places of services that this command does not know."""
    known = {service.name for service in SERVICES}
    places = {str(scope) for scope in scopes if scope.service not in known}
    return [
        f"the unfinished work of {place} was not swept: this command knows"
        f" {' and '.join(sorted(known))}; sweep it from Python, or, {_way_out()}"
        for place in sorted(places)
    ]


def _way_out() -> str:
    return f"if it no longer exists, {opened().way_out()}"


_FIELDS: Final = ("deleted", "stored", "waiting", "unresolved", "retired", "retiring")


def _report(place: _Place, deleted: str) -> None:
    swept = place.swept
    for key_id in swept.deleted:
        output.write(f"{deleted} {key_id}")
    for key_id in swept.retired:
        output.write(f"{deleted} {place.replaced(key_id)}")
    for name in swept.waiting:
        output.note(f"The key {name} does not exist, but may be created late: sweep again later.")
    for key_id in swept.retiring:
        when = place.dates.get(key_id)
        until = "until its grace is over" if when is None else f"until {moment(when)}"
        output.note(f"The key {place.replaced(key_id)}, works {until}: sweep again then.")
