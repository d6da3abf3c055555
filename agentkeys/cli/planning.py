"""What `agentkeys plan` and `agentkeys apply` do first: read the file, and plan each service."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agentkeys.cli import output, verbs
from agentkeys.cli.codes import WRONG_USAGE
from agentkeys.cli.known import SERVICES
from agentkeys.cli.services import Target, run
from agentkeys.errors import ManifestError
from agentkeys.fleet.planning import Plan, Settings, plan_of, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.cli.options import Options
    from agentkeys.cli.services import Service

__all__ = ["needed", "planned", "settings_of"]


@contextmanager
def planned(options: Options, file: str, *, jobs: int, prune: bool) -> Iterator[Plan]:
    """Give the plan of a file; it says each mistake of the file, and ends with exit code 2."""
    with _read(options, file) as plan:
        settings = settings_of(options, jobs=jobs, prune=prune)
        for service in needed(plan):
            target: Target[Any, Any] = Target(service, lambda client: client)
            run(options, target, partial(_plan, options, plan, service, settings))
        yield plan


def needed(plan: Plan) -> Iterator[Service[Any]]:
    """Yield the services of which keys are declared."""
    yield from (service for service in SERVICES if service.name.lower() in plan.services)


def settings_of(options: Options, *, jobs: int, prune: bool = False) -> Settings:
    """Return how it is planned."""
    return Settings(jobs=jobs, prune=prune, scope_of=partial(verbs.scope_of, options))


def _read(options: Options, file: str) -> Plan:
    try:
        return read(file)
    except ManifestError as error:
        mistakes, first = error.mistakes, error
    for sentence in mistakes:
        output.report(sentence, in_json=options.json, error=first)
    raise click.exceptions.Exit(WRONG_USAGE)


async def _plan(
    options: Options, plan: Plan, service: Service[Any], settings: Settings, client: Any
) -> None:
    import attrs

    places = plan.places(service.name.lower())
    with output.progress(places, may_show=not options.verbose) as step:
        seen = partial(step, _nothing)
        await plan_of(plan, client, attrs.evolve(settings, seen=seen))


def _nothing() -> None:
    """Say nothing about a place."""
