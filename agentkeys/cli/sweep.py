"""``agentkeys sweep``: finish what `create --save` could not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli import agentity, agentry, output, verbs
from agentkeys.cli.options import common
from agentkeys.cli.services import Target, run
from agentkeys.errors import AgentKeysError, NotFoundError
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkeys.cli.options import Options
    from agentkeys.cli.services import Service
    from agentkeys.keys import KeyCollection, Scope
    from agentkeys.lifecycle import Swept

__all__ = ["commands"]

_SERVICES: Final[tuple[Service[Any], ...]] = (agentity.SERVICE, agentry.SERVICE)


@click.command("sweep", short_help="Finish what `create --save` left.")
@common
def commands(options: Options) -> None:
    """Finish what `create --save` left when it was killed, or when answers were lost.

    A key whose secret reached no store is deleted. Whatever is not sure, or cannot be looked at, is
    reported and left alone, and the exit code is 1. Put it into cron; it sends nothing when there
    is nothing to sweep. --json prints {"deleted", "stored", "waiting", "unresolved"}.
    """
    from agentkeys.lifecycle.journal import FileJournal

    left = FileJournal().survey()
    swept: list[Swept] = []
    faults = [*left.unreadable, *_of_others(left.scopes)]
    for service in _SERVICES:
        own = [scope for scope in left.scopes if scope.service == service.name]
        if own:
            found, fault = _sweep(options, service, own)
            swept += found
            faults += fault
    _report(options, swept, faults)


def _of_others(scopes: Iterable[Scope]) -> list[str]:
    """Name the places of services that this command does not know."""
    known = {service.name for service in _SERVICES}
    places = {str(scope) for scope in scopes if scope.service not in known}
    return [
        f"what is left of {place} was not looked at: this command knows"
        f" {' and '.join(sorted(known))}; sweep it from Python, or, {_way_out()}"
        for place in sorted(places)
    ]


def _sweep(
    options: Options, service: Service[Any], scopes: Iterable[Scope]
) -> tuple[list[Swept], list[str]]:
    """Sweep the scopes of one service; what stops it must not stop the others."""
    target: Target[Any, Any] = Target(service, lambda client: client)
    try:
        return run(options, target, lambda client: _swept(options, service, client, scopes))
    except AgentKeysError as error:
        return [], [mask(str(error))]


async def _swept(
    options: Options, service: Service[Any], client: Any, scopes: Iterable[Scope]
) -> tuple[list[Swept], list[str]]:
    swept, faults = [], []
    places = {str(scope): scope for scope in scopes}
    for said, wanted in sorted(places.items()):
        place = f"what is left of {said}"
        try:
            found = await _swept_at(options, service.keys_at(client, wanted), wanted)
        except NotFoundError as error:
            faults.append(f"{place} could not be swept: {mask(str(error))}; {_way_out()}")
        except AgentKeysError as error:
            faults.append(f"{place} could not be swept: {mask(str(error))}")
        else:
            if found is None:
                faults.append(f"{place} was not looked at: {_HOW}; {_way_out()}")
            else:
                swept.append(found)
    return swept, faults


async def _swept_at(
    options: Options, keys: KeyCollection[Any, Any, Any] | None, wanted: Scope
) -> Swept | None:
    """Sweep the keys of one place; None if these are of another one."""
    from agentkeys import sweep

    if keys is None:
        return None
    scope = verbs.scope_of(options, keys)
    return await sweep(keys, scope=scope) if scope.is_at(wanted) else None


_HOW: Final = "give its --base-url, or --local for what `agentkeys --local` left"


def _way_out() -> str:
    from agentkeys.lifecycle.journal import FileJournal

    return f"if that is gone for good, delete the files in {FileJournal().describe()} that name it"


def _report(options: Options, swept: list[Swept], faults: list[str]) -> None:
    deleted = [key_id for each in swept for key_id in each.deleted]
    stored = [key_id for each in swept for key_id in each.stored]
    waiting = [name for each in swept for name in each.waiting]
    sentences = [*(sentence for each in swept for sentence in each.unresolved), *faults]
    unresolved = [*dict.fromkeys(sentences)]  # each sweep says what nobody can read
    if options.json:
        found = {"deleted": deleted, "stored": stored, "waiting": waiting, "unresolved": unresolved}
        output.write(output.as_json(found))
    else:
        for key_id in deleted:
            output.write(f"deleted {output.printable(str(key_id))}")
        for name in waiting:
            output.note(f"The key {name} is not there, but may come late: sweep again later.")
    for sentence in unresolved:
        output.note(f"Error: {sentence}")
    if unresolved:
        raise click.exceptions.Exit(1)
