"""``agentkeys auth``: which credentials a command would use, and what is kept of a login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.accounts.logout import logout
from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import code_of, worst
from agentkeys.cli.ground.options import common
from agentkeys.cli.keys.known import named
from agentkeys.masking import mask

if TYPE_CHECKING:
    from agentkeys.cli.accounts.explaining import Explained
    from agentkeys.cli.ground.options import Options

__all__ = ["commands"]

_SOURCES: Final = {"SOURCE": "name", "SAYS": "says", "WINS": "wins"}


@click.group("auth")
def commands() -> None:
    """Show which credentials a command uses, and why; forget a login that commands share."""


@commands.command()
@click.argument("services", metavar="[SERVICE]...", type=click.Choice([*named()]), nargs=-1)
@common
def explain(options: Options, services: tuple[str, ...]) -> None:
    """Show which source of credentials is used, and why, for each SERVICE (agentity, agentry).

    It sends no request, reads no store, and prints no secret. The exit code is that of the error
    that a command would end with: 6 if a named SERVICE has no credentials, 2 if the sources
    contradict each other. --json prints an array of {"service", "source", "why", "profile",
    "email", "secret", "base_url", "base_url_from", "place", "sources", "error"}.
    """
    from agentkeys.cli.accounts.explaining import explained

    found = [explained(options, each) for each in named(services or None).values()]
    if options.json:
        output.write(output.as_json([*map(_fields, found)]))
    else:
        for each in found:
            _show(each)
    # A service that nobody has named may have no credentials.
    errors = [each.error for each in found if each.error and (services or not each.is_silent)]
    if code := worst(map(code_of, errors)):
        raise click.exceptions.Exit(code)


def _show(found: Explained) -> None:
    won = f"{found.source} wins: {found.why}" if found.source else "no source wins"
    lines = [f"{found.service}: {won}."]
    if found.profile:
        lines.append(f"  profile   {found.profile}")
    if found.email:
        lines.append(f"  email     {found.email}")
    if found.secret:
        lines.append(f"  secret    {found.secret} (not read)")
    if found.base_url:
        lines.append(f"  base URL  {found.base_url} ({found.base_url_from})")
    if found.place:
        lines.append(f"  keys of   {found.place}")
    if found.error:
        lines.append(f"  error     {found.error}")
    output.write(*map(mask, lines))
    output.print_table([_Row(each, found.source) for each in found.sources], _SOURCES)
    output.write("")


class _Row:
    """A source, and whether it wins."""

    def __init__(self, source: Any, winner: str | None) -> None:
        self.name = source.name
        self.says = mask(source.says) if source.says else None
        self.wins = "*" if source.name == winner else None


def _fields(found: Explained) -> dict[str, Any]:
    from dataclasses import asdict

    fields = asdict(found)
    del fields["is_silent"]
    fields["error"] = None if found.error is None else str(found.error)
    shown = {name: mask(each) if isinstance(each, str) else each for name, each in fields.items()}
    sources = [
        {"name": each.name, "says": each.says and mask(each.says), "applies": each.applies}
        for each in found.sources
    ]
    return shown | {"sources": sources}


commands.add_command(logout)
