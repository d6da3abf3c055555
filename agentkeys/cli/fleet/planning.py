"""What `agentkeys plan` and `agentkeys apply` do first: read the file, and plan each service."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import WRONG_USAGE
from agentkeys.cli.ground.services import Target, run
from agentkeys.cli.keys import verbs
from agentkeys.cli.keys.known import SERVICES
from agentkeys.errors import ManifestError
from agentkeys.fleet.planning import Plan, Settings, plan_of, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agentkeys.cli.ground.options import Options
    from agentkeys.fleet.manifest.declared import Account

__all__ = ["mistakes_reported", "needed", "planned", "settings_of", "target_of"]


@contextmanager
def planned(options: Options, file: str, *, jobs: int, prune: bool) -> Iterator[Plan]:
    """Give the plan of a file; it says each mistake of the file, and ends with exit code 2."""
    with mistakes_reported(options):
        plan = read(file)
    with plan:
        settings = settings_of(options, jobs=jobs, prune=prune)
        for account, own in needed(options, plan.accounts):
            run(own, target_of(account), partial(_plan, own, plan, account, settings))
        yield plan


def needed(options: Options, accounts: Iterable[Account]) -> Iterator[tuple[Account, Options]]:
    """Yield each account, and the options with which its keys are looked after."""
    for account in accounts:
        if account.profile is None:
            yield account, options
        else:
            yield account, replace(options, profile=account.profile, profiles={}, signed_in={})


def target_of(account: Account) -> Target[Any, Any]:
    """Return all keys of an account."""
    service = next(each for each in SERVICES if each.name.lower() == account.service)
    return Target(service, lambda client: client)


def settings_of(options: Options, *, jobs: int, prune: bool = False) -> Settings:
    """Return how it is planned."""
    return Settings(jobs=jobs, prune=prune, scope_of=partial(verbs.scope_of, options))


@contextmanager
def mistakes_reported(options: Options) -> Iterator[None]:
    """Say each mistake of a file that declares keys, and end with exit code 2."""
    try:
        yield
    except ManifestError as error:
        mistakes, first = error.mistakes, error
    else:
        return
    for sentence in mistakes:
        output.report(sentence, in_json=options.json, error=first)
    raise click.exceptions.Exit(WRONG_USAGE)


async def _plan(
    options: Options, plan: Plan, account: Account, settings: Settings, client: Any
) -> None:
    import attrs

    places = plan.places(account)
    with output.progress(places, may_show=not options.verbose) as step:
        seen = partial(step, _nothing)
        await plan_of(plan, client, account, attrs.evolve(settings, seen=seen))


def _nothing() -> None:
    """Say nothing about a place."""
