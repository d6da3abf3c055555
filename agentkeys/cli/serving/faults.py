"""``agentkeys faults``: faults on purpose, of a service that ``agentkeys serve`` runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.options import with_json
from agentkeys.cli.serving.admin import ask_admin

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

__all__ = ["commands"]


@click.group("faults")
def commands() -> None:
    """Make a service that `agentkeys serve --admin-port` runs fail on purpose.

    AGENTKEYS_ADMIN_URL holds the address of the admin port, and AGENTKEYS_ADMIN_TOKEN its token.
    """


@commands.command("add")
@click.argument("route")
@click.argument("kind")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option(
    "--when",
    type=click.Choice(["before", "after"]),
    help="Before the service acts on the request, or after.  [default: before; after for pages]",
)
@click.option(
    "--times", metavar="NUMBER", help="The number of requests that it affects, or always."
)
@with_json
def add(
    options: Options,
    *,
    route: str,
    kind: str,
    values: tuple[str, ...],
    when: str | None,
    times: str | None,
) -> None:
    """Put a fault of KIND on ROUTE.

    ROUTE is a route such as 'POST /auth/api-keys', a group such as CREATES, or groups that are
    joined by & and |. `agentkeys faults kinds` lists the groups, the kinds and their values. --json
    prints the fault: {"id", "kind", "with", "routes", "when", "times", "hits"}.
    """
    body: dict[str, Any] = {"route": route, "kind": kind, "with": dict(map(_value, values))}
    if when is not None:
        body["when"] = when
    if times is not None:
        body["times"] = _json_or_text(times)
    fault = ask_admin("POST", "/faults", body)
    if options.json:
        output.write(output.as_json(fault))
    else:
        output.note(f"added fault {fault['id']}: {_in_short(fault)}")


@commands.command("list")
@with_json
def list_faults(options: Options) -> None:
    """List the faults, in the order in which they apply.

    --json prints a list of faults, each as `add` prints it.
    """
    faults = ask_admin("GET", "/faults")["faults"]
    if options.json:
        output.write(output.as_json(faults))
    elif faults:
        output.write(*(f"{each['id']}  {_in_short(each)}, {each['hits']} hits" for each in faults))


@commands.command("kinds")
@with_json
def kinds(options: Options) -> None:
    """List the kinds of faults with their values, and the groups of routes.

    --json prints {"kinds": {NAME: {"about", "with"}}, "groups": {NAME: [ROUTE, ...]}}.
    """
    known = ask_admin("GET", "/faults/kinds")
    if options.json:
        output.write(output.as_json(known))
        return
    for name, kind in known["kinds"].items():
        takes = f" [{', '.join(kind['with'])}]" if kind["with"] else ""
        output.write(f"{name}{takes}: {kind['about']}")
    output.write(f"Groups of routes: {', '.join(known['groups'])}")


@commands.command("clear")
@click.argument("ids", nargs=-1, type=int, metavar="[ID]...")
@with_json
def clear(options: Options, *, ids: tuple[int, ...]) -> None:
    """Remove the faults with these IDs, or all faults; release the requests that they hold.

    --json prints {"cleared": [ID, ...]}.
    """
    cleared = ids or [each["id"] for each in ask_admin("GET", "/faults")["faults"]]
    for path in [f"/faults/{each}" for each in ids] or ["/faults"]:
        ask_admin("DELETE", path)
    if options.json:
        output.write(output.as_json({"cleared": list(cleared)}))


def _value(given: str) -> tuple[str, object]:
    name, equals, value = given.partition("=")
    if not equals:
        raise click.UsageError(f"{name!r} is not NAME=VALUE")
    return name, _json_or_text(value)


def _json_or_text(given: str) -> object:
    try:
        return json.loads(given)
    except ValueError:
        return given


def _in_short(fault: dict[str, Any]) -> str:
    values = ", ".join(f"{name}={value}" for name, value in fault["with"].items())
    first, *others = fault["routes"]
    routes = f"{first} and {len(others)} more" if others else first
    return f"{fault['kind']}({values}) {fault['when']} {routes}, times {fault['times']}"
