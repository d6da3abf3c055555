"""``agentkeys clock``: the clock of a service that ``agentkeys serve`` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.options import duration, with_json
from agentkeys.cli.serving.admin import ask_admin

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

__all__ = ["commands"]


@click.group("clock")
def commands() -> None:
    """Show and move the clock of a service that `agentkeys serve --admin-port` runs.

    AGENTKEYS_ADMIN_URL holds the address of the admin port, and AGENTKEYS_ADMIN_TOKEN its token.
    """


@commands.command("show")
@with_json
def show(options: Options) -> None:
    """Show the time.

    --json prints {"now"}.
    """
    _shown(options, "GET", "/clock")


@commands.command("advance")
@click.argument("by", metavar="DURATION")
@with_json
def advance(options: Options, *, by: str) -> None:
    """Move the clock forward by DURATION: 90d, 24h, 15m, 30s.

    --json prints {"now"}.
    """
    _shown(options, "POST", "/clock/advance", {"seconds": duration(by)})


@commands.command("set")
@click.argument("moment")
@with_json
def set_clock(options: Options, *, moment: str) -> None:
    """Set the clock to MOMENT, such as 2030-01-31T12:00:00Z.

    --json prints {"now"}.
    """
    _shown(options, "PUT", "/clock", {"now": moment})


@commands.command("reset")
@with_json
def reset(options: Options) -> None:
    """Use the time of the machine again.

    --json prints {"now"}.
    """
    _shown(options, "DELETE", "/clock")


def _shown(options: Options, method: str, path: str, body: object = None) -> None:
    clock = ask_admin(method, path, body)
    output.write(output.as_json(clock) if options.json else str(clock["now"]))
