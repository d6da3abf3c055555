"""``agentkeys fleet``: how far the workers of several machines are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import FOR_A_PERSON
from agentkeys.cli.ground.options import with_json

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options
    from agentkeys.fleet.engine import Counts, Failure, Queue

__all__ = ["commands"]

_COLUMNS: Final = {"KEY": "key", "TRIES": "tries", "AT": "at", "WHY": "sentence"}


@click.group("fleet", short_help="Show how far the workers are.")
def commands() -> None:
    """Show how far the workers of several machines are; see `agentkeys worker`."""


@commands.command("status")
@with_json
def status(options: Options) -> None:
    """Show what waits, what runs, the workers, and each key that is not as declared.

    It asks the database that AGENTKEYS_JOURNAL names, and no service. The exit code is 4 if a key
    has failed or needs a decision of yours. --json prints {"todo", "doing", "failed", "workers",
    "planned_at", "failures"}.
    """
    from agentkeys.cli.fleet.distributing import with_queue
    from agentkeys.cli.ground.interruption import run_interruptibly

    counts, failures = run_interruptibly(with_queue(_seen))
    if options.json:
        shown = [each.to_dict() for each in failures]
        output.write(output.as_json({**counts.to_dict(), "failures": shown}))
    else:
        output.write(
            f"{counts.todo} waiting, {counts.doing} running, {counts.failed} failed;"
            f" {counts.workers} workers"
        )
        if failures:
            output.print_table(failures, _COLUMNS)
    if failures:
        raise click.exceptions.Exit(FOR_A_PERSON)


async def _seen(queue: Queue) -> tuple[Counts, list[Failure]]:
    return await queue.counts(), await queue.failures()
