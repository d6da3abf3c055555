"""The moves of the machine, and the rows that are a single move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from agentkeys.lifecycle.machine.commands import (
    Command,
    End,
    Ending,
)
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.states import Closed, Entry, State

__all__ = ["Move", "Row", "Table", "closed", "end", "noting", "over", "then"]


@attrs.frozen
class Move:
    """The next step: an entry to note, if it has changed, and then a command to run."""

    entry: Entry
    command: Command


Row: TypeAlias = Callable[[Entry, Any, Any, Moment], Move]
Table: TypeAlias = Mapping[tuple[type[Any], type[Any]], Row]


def then(command: Command) -> Row:
    """Return a row that runs a command, whatever the event."""
    return lambda entry, _state, _event, _now: Move(entry, command)


def end(ending: Ending) -> Row:
    """Return a row that ends the drive for now."""
    return then(End(ending))


def over(ending: Ending) -> Row:
    """Return a row that removes the entry."""
    return lambda entry, _state, _event, _now: closed(entry, ending)


def closed(entry: Entry, ending: Ending) -> Move:
    """Remove the entry."""
    return noting(entry, Closed(), End(ending))


def noting(entry: Entry, state: State, command: Command) -> Move:
    """Note a state, and then run a command."""
    return Move(attrs.evolve(entry, state=state), command)
