"""``agentkeys apply``: make the keys as a file declares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentkeys.cli.fleet.plan import file_argument, prune_option
from agentkeys.cli.ground.options import common
from agentkeys.cli.keys.choices import jobs_option
from agentkeys.cli.keys.rotating import then_option

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

__all__ = ["commands"]

_UNSAID = click.core.ParameterSource.DEFAULT


@click.command("apply", short_help="Make the keys as a file declares them.")
@file_argument
@click.option("--yes", is_flag=True, help="Do not ask first.")
@click.option(
    "--max-failures",
    metavar="K",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Begin nothing more after so many failures.",
)
@click.option(
    "--canary",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Do N keys first, look at them, and go on only if they are as declared.",
)
@click.option(
    "--distribute", is_flag=True, help="Queue the keys for `agentkeys worker`, and do nothing here."
)
@prune_option
@then_option
@jobs_option
@common
def commands(
    options: Options,
    file: str,
    *,
    yes: bool,
    max_failures: int,
    canary: int,
    distribute: bool,
    prune: bool,
    then: tuple[str, ...] | None,
    jobs: int,
) -> None:
    """Issue, rotate, retire and adopt keys until all are as FILE declares them.

    It shows what is to be done, and asks. Run it again to go on where it stopped. With --prune it
    asks a second time, and deletes keys that are declared no more, with their secrets. The exit
    code is 4 if something is unclear, else that of the worst failure. --json prints {"done",
    "failed", "unclear", "not_begun"}, with --distribute {"queued", "waiting"}.
    """
    if distribute:
        from agentkeys.cli.fleet import distributing

        has_limit = click.get_current_context().get_parameter_source("max_failures") is not _UNSAID
        if prune or canary or then or has_limit:
            raise click.UsageError(
                "--distribute goes with none of --prune, --canary, --max-failures and --then"
            )
        distributing.distribute(options, file, jobs=jobs, yes=yes)
        return
    from agentkeys.cli.fleet.applying import apply
    from agentkeys.fleet.applying import Limits

    limits = Limits(jobs, max_failures, canary)
    apply(options, file, limits=limits, prune=prune, yes=yes, then=then)
