"""``agentkeys serve``: both services on this machine, in the foreground."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from agentkeys.cli import output
from agentkeys.cli.options import with_json

if TYPE_CHECKING:
    from agentkeys.cli.options import Options
    from agentkeys.server import LocalService

__all__ = ["commands"]


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The port to listen on; 0 is any that is free.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="A name or an address by which others reach this service, without a port; may be given"
    " several times. Requests that name another host than this machine are refused.",
)
@click.option(
    "--database",
    metavar="PATH",
    help="Where to keep the data, as PATH or sqlite:///PATH; in memory if it is not given, or with"
    " `agentkeys --local serve`, what --local uses.",
)
@with_json
def commands(
    options: Options, host: str, port: int, allowed_hosts: tuple[str, ...], database: str | None
) -> None:
    """Run Agentity and Agentry on this machine until Ctrl-C.

    It prints what a client needs, as shell commands; the password and the token are secrets of
    this local service. --json prints one line {"url", "email", "password", "agentry_token",
    "inbox_id"} when the service is ready.
    """
    import asyncio

    from agentkeys.cli.logs import logged
    from agentkeys.server import LocalService, serve

    def ready(service: LocalService) -> None:
        output.write(*([_as_json(service)] if options.json else _as_shell(service)))

    service = LocalService(
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
        database=_database(options, database),
        recorded_requests=0,  # nobody could look at them
    )
    with logged(verbose=options.verbose):
        asyncio.run(serve(service, ready=ready))


def _database(options: Options, given: str | None) -> str | None:
    if given is not None and options.local:
        raise click.UsageError("--local and --database exclude each other")
    if given is not None:
        return given if "://" in given else f"sqlite:///{given}"
    if not options.local:
        return None
    from agentkeys.cli.local import local_database

    return local_database()


def _as_json(service: LocalService) -> str:
    return output.as_json(
        {
            "url": service.url,
            "email": service.email,
            "password": service.password,
            "agentry_token": service.agentry_token,
            "inbox_id": service.inbox_id,
        }
    )


def _as_shell(service: LocalService) -> list[str]:
    variables = {
        "AGENTITY_BASE_URL": service.url,
        "AGENTITY_EMAIL": service.email,
        "AGENTITY_PASSWORD": service.password,
        "AGENTRY_BASE_URL": service.url,
        "AGENTRY_API_KEY": service.agentry_token,
    }
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return [
        f"# Agentity and Agentry are on {service.url} until Ctrl-C. For another shell:",
        *exports,
        f"# Agentry's inbox is {service.inbox_id}, its pod is {service.pod_id}.",
    ]
