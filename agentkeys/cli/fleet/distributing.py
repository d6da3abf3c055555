"""What `agentkeys worker`, `apply --distribute` and `fleet status` do: they use the queue."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agentkeys.cli.fleet.applying import check_can_ask, said
from agentkeys.cli.fleet.planning import (
    mistakes_reported,
    needed,
    planned,
    settings_of,
    target_of,
)
from agentkeys.cli.fleet.plans import DONE, note_plan
from agentkeys.cli.ground import output, programs
from agentkeys.cli.ground.codes import FOR_A_PERSON
from agentkeys.cli.ground.interruption import run_interruptibly
from agentkeys.cli.ground.services import run_with_clients
from agentkeys.errors import ConfigurationError
from agentkeys.fleet import manifest
from agentkeys.fleet.carrying_out import How
from agentkeys.fleet.deciding import TO_DO
from agentkeys.lifecycle import remembering

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Service
    from agentkeys.fleet.deciding import Do, Step
    from agentkeys.fleet.engine import Queue
    from agentkeys.fleet.pace import Pace
    from agentkeys.rates import RateLimiter
    from agentkeys.transport.client import Client

__all__ = ["distribute", "with_queue", "work"]

T = TypeVar("T")


async def with_queue(work: Callable[[Queue], Awaitable[T]]) -> T:
    """Return what *work* returns of the queue beside the journal.

    Raises:
        ConfigurationError: the journal is not in PostgreSQL, or Procrastinate is missing.
        JournalError: the database cannot be used.

    """
    address = remembering.database()
    try:
        from agentkeys.fleet.engine import Queue
    except ModuleNotFoundError:
        pass
    else:
        async with Queue(address) as queue:
            return await work(queue)
    raise ConfigurationError("workers need Procrastinate: pip install 'agentkeys-sdk[fleet]'")


def distribute(options: Options, file: str, *, jobs: int, yes: bool) -> None:
    """Plan, show the plan, ask, and queue what is to be done."""
    check_can_ask(yes=yes)
    with planned(options, file, jobs=jobs, prune=False) as plan:
        note_plan(plan)
        if not plan.to_do:
            output.note("There is nothing to do.")
        elif not (yes or output.ask(f"Queue these {plan.to_do}?")):
            output.note("Nothing was changed.")
            return
        queued = run_interruptibly(with_queue(partial(_put, plan.steps(*TO_DO))))
        if options.json:
            output.write(output.as_json({"queued": queued, "waiting": plan.to_do - queued}))
        elif plan.to_do:
            output.write(f"queued {queued} of {plan.to_do}")
        if plan.counts.get("unclear"):
            raise click.exceptions.Exit(FOR_A_PERSON)


async def _put(steps: Iterable[Step], queue: Queue) -> int:
    from agentkeys.fleet.engine import Which

    return await queue.put(Which.of(step.declared) for step in steps)


def work(
    options: Options,
    file: str,
    pace: Pace,
    *,
    rate: float | None,
    once: bool,
    then: tuple[str, ...] | None,
) -> None:
    """Work until a signal comes, or, with *once*, until no job is left."""
    if options.local:
        raise click.UsageError("--local runs on this machine alone: use agentkeys apply")
    with mistakes_reported(options):
        accounts = [*needed(options, manifest.read(file).accounts)]
    wanted = [(own, target_of(account).service) for account, own in accounts]
    how = How(then=programs.telling(then, options.timeout))

    async def run(clients: Sequence[Client]) -> None:
        by_account = {account: each for (account, _), each in zip(accounts, clients, strict=True)}

        async def serve(queue: Queue) -> None:
            from agentkeys.fleet.engine import Worker

            settings = settings_of(options, jobs=pace.jobs)
            worker = Worker(file, queue, by_account, pace=pace, how=how, settings=settings)
            try:
                await worker.run(once=once)
            finally:
                _report(options, worker.done)

        await with_queue(serve)

    with mistakes_reported(options):
        run_with_clients(options, wanted, run, partial(_rate_of, rate))


def _report(options: Options, done: Counter[Do]) -> None:
    if options.json:
        output.write(output.as_json({"done": dict(done)}))
    else:
        output.note(f"Done: {said({do: done[do] for do in DONE if done[do]})}.")


def _rate_of(rate: float | None, service: Service[Any]) -> RateLimiter | None:
    """Return the limit of all clients of a service, on every machine."""
    if rate is None:
        return None
    from agentkeys.rates.postgres import PostgresRateLimit

    return PostgresRateLimit(rate, remembering.database(), name=service.name.lower())
