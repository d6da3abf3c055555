"""Complete values in a shell: schemes of stores, and names of profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkeys.errors import AgentKeysError
from agentkeys.schemes import KEPT

if TYPE_CHECKING:
    import click

__all__ = ["profile_names", "schemes"]


def schemes(_: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the schemes of stores."""
    beginnings = (f"{form.partition(':')[0]}:" for form in KEPT)
    return [each for each in beginnings if each.startswith(begun)]


def profile_names(_: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Return the names of profiles; none if their file cannot be used."""
    from agentkeys.profiles import config

    try:
        return [name for name in sorted(config.read().profiles) if name.startswith(begun)]
    except AgentKeysError:
        return []
