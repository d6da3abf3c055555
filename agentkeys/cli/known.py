"""The services that a command over all of them knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentkeys.cli import agentity, agentry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkeys.cli.services import Service

__all__ = ["HOW", "SERVICES", "named"]

SERVICES: Final[tuple[Service[Any], ...]] = (agentity.SERVICE, agentry.SERVICE)

HOW: Final = "give its --base-url, or --local for what `agentkeys --local` left"
"""What to do about a place that a command was not pointed at."""


def named(names: Iterable[str] | None = None) -> dict[str, Service[Any]]:
    """Return the services of these names, which are in small letters; all of them if None."""
    known = {service.name.lower(): service for service in SERVICES}
    return known if names is None else {name: known[name] for name in dict.fromkeys(names)}
