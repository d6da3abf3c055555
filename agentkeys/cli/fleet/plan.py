"""``agentkeys plan``: what would make the keys as a file declares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentkeys.cli.ground.codes import FOR_A_PERSON, UNDER_WAY
from agentkeys.cli.ground.options import common
from agentkeys.cli.keys.choices import jobs_option

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

__all__ = ["commands", "file_argument", "prune_option"]

file_argument = click.argument("file", metavar="[FILE]", default="agentkeys.toml")
prune_option = click.option(
    "--prune",
    is_flag=True,
    help="Also the keys of this journal, at a place of FILE, that FILE declares no more.",
)


@click.command("plan", short_help="Show what would make the keys as a file declares them.")
@file_argument
@click.option(
    "--exit-code", is_flag=True, help="End with 3 if there is something to do, 4 if unclear."
)
@prune_option
@jobs_option
@common
def commands(options: Options, file: str, exit_code: bool, prune: bool, jobs: int) -> None:
    """Compare the keys that FILE declares with what is there. Nothing is changed.

    FILE is agentkeys.toml by default. Each line is a key: + issue, ~ rotate, - retire, = adopt,
    * finish what was left, ? unclear. --json prints {"counts", "steps"}; a step is {"do",
    "declared", "why", "key_id", "replace"}.
    """
    from agentkeys.cli.fleet.planning import planned
    from agentkeys.cli.fleet.plans import write_json, write_plan

    with planned(options, file, jobs=jobs, prune=prune) as plan:
        (write_json if options.json else write_plan)(plan)
        code = UNDER_WAY if plan.to_do else FOR_A_PERSON if plan.counts.get("unclear") else 0
    if exit_code and code:
        raise click.exceptions.Exit(code)
