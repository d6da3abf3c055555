"""The services that a command over all of them knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agentkeys.cli import agentity, agentry

if TYPE_CHECKING:
    from agentkeys.cli.services import Service

__all__ = ["HOW", "SERVICES"]

SERVICES: Final[tuple[Service[Any], ...]] = (agentity.SERVICE, agentry.SERVICE)

HOW: Final = "give its --base-url, or --local for what `agentkeys --local` left"
"""What to do about a place that a command was not pointed at."""
