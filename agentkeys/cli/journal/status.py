"""``agentkeys status``: the stored, unfinished and retiring keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import FOR_A_PERSON
from agentkeys.cli.ground.options import with_json

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options
    from agentkeys.lifecycle import Status

__all__ = ["commands"]

_COLUMNS: Final = {
    "NAME": "name",
    "KEY": "key_id",
    "STATE": "state",
    "SINCE": "since",
    "RETIRES": "retires",
    "AT": "retires_at",
    "STORE": "store",
    "WHOSE": "scope",
}


@click.command("status", short_help="Show stored, unfinished and retiring keys.")
@with_json
def commands(options: Options) -> None:
    """Show the keys that were stored with --save, are being stored, or retire.

    It needs no credentials and sends no request. If RETIRES has an id, the key of the row has
    replaced the key with that id; AT is when `agentkeys sweep` may delete the old key. The exit
    code is 4 if an entry cannot be read, else 0. --json prints {"kept", "under_way", "retiring",
    "unreadable"}.
    """
    from agentkeys.lifecycle.remembering import opened
    from agentkeys.lifecycle.upkeep import remembered

    _report(options, remembered(None, opened()))


def _report(options: Options, found: Status) -> None:
    from agentkeys.cli.keys import upkeep

    groups = {"kept": found.kept, "under_way": found.under_way, "retiring": found.retiring}
    rows = [each for group in groups.values() for each in group]
    if options.json:
        shown = {name: [*map(upkeep.fields_of_known, group)] for name, group in groups.items()}
        output.write(output.as_json({**shown, "unreadable": found.unreadable}))
    elif rows:
        output.print_table(rows, _COLUMNS)
    elif not found.unreadable:
        output.note("The journal is empty: no key was stored with --save, or adopted.")
    for each in found.retiring:
        if each.state == "retiring" and each.retires_at is None and not options.json:
            output.note(
                f"The key {each.retires} of {each.name!r} does not retire before its users have"
                " been told: run `agentkeys sweep --then ...`, or tell them and run `agentkeys ..."
                f" announced {each.name}`."
            )
    for sentence in found.unreadable:
        output.report(sentence, in_json=options.json)
    if found.unreadable:
        raise click.exceptions.Exit(FOR_A_PERSON)
