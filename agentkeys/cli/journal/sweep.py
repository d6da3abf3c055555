"""``agentkeys sweep``: finish what `create --save` and `rotate` left, and retire old keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentkeys.cli.ground.options import common
from agentkeys.cli.keys.rotating import then_option

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

__all__ = ["commands"]


@click.command("sweep", short_help="Finish unfinished work, and delete retiring keys.")
@then_option
@click.option("--force", is_flag=True, help="Delete replaced keys now, even if they are in use.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@common
def commands(options: Options, then: tuple[str, ...] | None, force: bool, dry_run: bool) -> None:
    """Finish what `create --save` and `rotate` left, and delete replaced keys when they are due.

    A key whose secret reached no store is deleted. An uncertain case is reported and not changed.
    Run it regularly, e.g. by cron; if there is nothing to sweep, it sends no request. The exit code
    is 0 if nothing is left, 3 if you must sweep again later, 4 if a case needs your decision, 1 if
    something could not be checked. --json prints {"deleted", "stored", "waiting", "unresolved",
    "retired", "retiring"}.
    """
    from agentkeys.cli.journal.sweeping import Sweeping

    sweeping = Sweeping(options, then, force=force, dry_run=dry_run)
    sweeping.run()
    sweeping.report()
