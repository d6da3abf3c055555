"""``agentkeys journal``: where it is remembered which keys there are, and how to move that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import FOR_A_PERSON, UNDER_WAY
from agentkeys.cli.ground.options import with_json
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

__all__ = ["commands"]


@click.group("journal", short_help="Show and move the journal.")
def commands() -> None:
    """Show and move the journal, which remembers the keys that were stored with --save.

    It lies in files of this machine, or in the PostgreSQL database whose address AGENTKEYS_JOURNAL
    holds.
    """


@commands.command("show")
@with_json
def show(options: Options) -> None:
    """Show where the journal lies, and how many entries it has.

    --json prints {"where", "kept", "under_way", "unreadable"}.
    """
    from agentkeys.lifecycle.machine.states import Kept
    from agentkeys.lifecycle.remembering import opened

    journal = opened()
    found = journal.remembered(lambda _: True)
    kept = sum(isinstance(each.entry.state, Kept) for each in found.entries)
    under_way, where = len(found.entries) - kept, journal.describe()
    if options.json:
        shown = {"where": where, "kept": kept, "under_way": under_way}
        output.write(output.as_json({**shown, "unreadable": found.unreadable}))
    else:
        output.write(f"{where}: {kept} kept, {under_way} under way")
    _end(options, found.unreadable)


@commands.command("move")
@click.option(
    "--to",
    metavar="ADDRESS",
    required=True,
    type=Secret,
    help="A database, like postgresql://host/database, or files.",
)
@with_json
def move(options: Options, *, to: Secret) -> None:
    """Move all entries to the database ADDRESS, or, with --to files, back from AGENTKEYS_JOURNAL.

    Keep the password out of ADDRESS: PostgreSQL reads it from ~/.pgpass. If the command is killed,
    run it again. Entries in use stay, and the exit code is 3: run it again later.
    It is 4 if something cannot be read. --json prints {"moved", "left", "unreadable"}.
    """
    from agentkeys.lifecycle import moving
    from agentkeys.lifecycle.remembering import FILES, opened

    source = opened() if to == Secret(FILES) else opened(Secret(FILES))
    target = opened(to)
    if source.describe() == target.describe():
        raise click.UsageError(
            "the journal lies there already: to move it back, set AGENTKEYS_JOURNAL to where it is"
        )
    done = moving.moved(source, target)
    if options.json:
        fields = {"moved": done.moved, "left": done.left, "unreadable": done.unreadable}
        output.write(output.as_json(fields))
    else:
        output.write(f"moved {done.moved} from {source.describe()} to {target.describe()}")
        for each in done.left:
            output.note(f"Somebody works on {each}: move it later.")
    _end(options, done.unreadable)
    if done.left:
        raise click.exceptions.Exit(UNDER_WAY)


def _end(options: Options, unreadable: tuple[str, ...]) -> None:
    for sentence in unreadable:
        output.report(sentence, in_json=options.json)
    if unreadable:
        raise click.exceptions.Exit(FOR_A_PERSON)
