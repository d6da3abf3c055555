"""Blocking twins of `fleet.plan` and `fleet.apply`, which `agentkeys.sync` imports when used."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from agentkeys import fleet
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.fleet import Applied, Plan
from agentkeys.fleet.planning import JOBS
from agentkeys.lifecycle.driving.callbacks import Then, Verify
from agentkeys.sync.clients import BlockingClient
from agentkeys.sync.portal import Portal

__all__ = ["apply", "plan"]


def plan(
    file: str | os.PathLike[str],
    *clients: BlockingClient[Any],
    jobs: int = JOBS,
    timeout: float | None = None,
    prune: bool = False,
) -> Plan:
    """Compare the keys that a file declares with what is there; see `agentkeys.fleet.plan`."""
    portal, twins = _taken(clients)
    start = partial(fleet.plan, file, *twins, jobs=jobs, timeout=timeout, prune=prune)
    return portal.run(start)


def apply(
    plan: Plan,
    *clients: BlockingClient[Any],
    jobs: int = JOBS,
    max_failures: int | None = None,
    canary: int = 0,
    timeout: float | None = None,
    verify: Verify | None = None,
    then: Then | None = None,
) -> Applied:
    """Do what a plan says; see `agentkeys.fleet.apply`."""
    portal, twins = _taken(clients)
    start = partial(
        fleet.apply,
        plan,
        *twins,
        jobs=jobs,
        max_failures=max_failures,
        canary=canary,
        timeout=timeout,
        verify=verify,
        then=then,
    )
    return portal.run(start)


def _taken(clients: tuple[BlockingClient[Any], ...]) -> tuple[Portal, list[Any]]:
    """Return where the work runs, and the async twins of the clients."""
    for client in clients:
        if not isinstance(client, BlockingClient):
            raise InvalidArgumentError(
                f"clients must be blocking clients, not {type(client).__name__}: for async clients"
                " there are agentkeys.fleet.plan and agentkeys.fleet.apply"
            )
    if not clients:
        raise ConfigurationError("pass a client of each service of which keys are declared")
    return clients[0]._portal, [client._twin for client in clients]  # noqa: SLF001  # of ours
