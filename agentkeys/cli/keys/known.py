"""The services that a command for all services knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentkeys.cli.keys import agentity, agentry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkeys.cli.ground.services import Service

__all__ = ["HOW", "SERVICES", "named"]

SERVICES: Final[tuple[Service[Any], ...]] = (agentity.SERVICE, agentry.SERVICE)

HOW: Final = "give its --base-url, or --local for the keys of `agentkeys --local`"
"""The advice for a place that the command's options do not cover."""


def named(names: Iterable[str] | None = None) -> dict[str, Service[Any]]:
    """Return the services with these lower-case names; all services if None."""
    known = {service.name.lower(): service for service in SERVICES}
    return known if names is None else {name: known[name] for name in dict.fromkeys(names)}
