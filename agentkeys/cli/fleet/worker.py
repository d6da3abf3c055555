"""``agentkeys worker``: make keys as declared, with workers on other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentkeys.cli.fleet.plan import file_argument
from agentkeys.cli.ground.options import common, duration
from agentkeys.cli.keys.choices import jobs_option
from agentkeys.cli.keys.rotating import then_option

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

__all__ = ["commands"]


@click.command("worker", short_help="Make keys as declared, with workers on other machines.")
@file_argument
@click.option(
    "--every",
    metavar="TIME",
    type=duration,
    default="1h",
    show_default=True,
    help="How often one of the workers plans again.",
)
@click.option(
    "--rate",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="How many requests a second all workers together send to a service.",
)
@click.option(
    "--tries",
    metavar="K",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How often a key is tried before it waits for the next plan.",
)
@click.option("--once", is_flag=True, help="End when no job is due. A job for later stays.")
@then_option
@jobs_option
@common
def commands(
    options: Options,
    file: str,
    *,
    every: float,
    rate: float | None,
    tries: int,
    once: bool,
    then: tuple[str, ...] | None,
    jobs: int,
) -> None:
    """Take keys from the queue, and make each as FILE declares it, until Ctrl-C or SIGTERM.

    The queue is in the PostgreSQL database that AGENTKEYS_JOURNAL names, beside the journal. Start
    it on any number of machines, with the same FILE, which is read again when it changes. One of
    them plans again every hour; `agentkeys apply --distribute` plans at once. If a worker dies, the
    others do its work. What fails goes to stderr, and to `agentkeys fleet status`. --json prints
    {"done"} at the end: how many keys were issued, rotated and so on. It needs the extra fleet.
    """
    from agentkeys.cli.fleet.distributing import work
    from agentkeys.fleet.pace import Pace

    pace = Pace(jobs=jobs, every=every, tries=tries)
    work(options, file, pace, rate=rate, once=once, then=then)
