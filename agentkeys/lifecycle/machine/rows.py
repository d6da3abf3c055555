"""What a move of the machine is, and the rows that need no more than a word."""

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
    """What comes next: an entry to note, if it is another one, and then a command to run."""

    entry: Entry
    command: Command


Row: TypeAlias = Callable[[Entry, Any, Any, Moment], Move]
Table: TypeAlias = Mapping[tuple[type[Any], type[Any]], Row]


def then(command: Command) -> Row:
    """Return the row that runs a command, whatever has happened."""
    return lambda entry, _state, _event, _now: Move(entry, command)


def end(ending: Ending) -> Row:
    """Return the row that does nothing more for now."""
    return then(End(ending))


def over(ending: Ending) -> Row:
    """Return the row that forgets the entry."""
    return lambda entry, _state, _event, _now: closed(entry, ending)


def closed(entry: Entry, ending: Ending) -> Move:
    """Forget the entry."""
    return noting(entry, Closed(), End(ending))


def noting(entry: Entry, state: State, command: Command) -> Move:
    """Note a state, and then run a command."""
    return Move(attrs.evolve(entry, state=state), command)
