"""Read the first format of an entry, which had no number. It is no longer written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from agentkeys.keys import Scope
from agentkeys.lifecycle.journal.former_places import renamed
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.naming import base_of
from agentkeys.lifecycle.machine.states import Asking, Entry, Plan, Writing
from agentkeys.stores.contract import Found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkeys.lifecycle.machine.states import State

__all__ = ["entry"]


@attrs.frozen
class _Begun:
    """The time from which the possible delay of the key counts."""

    begun_at: float
    boot: str | None = None
    uptime: float = 0.0

    def moment(self) -> Moment:
        return Moment(self.begun_at, self.boot, self.uptime)


@attrs.frozen
class _Attempt(_Begun):
    """The first line: a create may have been sent."""

    scope: Scope = attrs.field(kw_only=True)
    name: str = attrs.field(kw_only=True)
    nonce: str | None = attrs.field(kw_only=True)
    seconds: float = 0.0
    received: str | None = None


@attrs.frozen
class _Received:
    """The secret was received, and is about to be stored."""

    key_id: str | int | None
    store: str
    digest: str
    found: Found | None = None


def entry(lines: Sequence[bytes], structure: Any) -> Entry:
    """Return the entry of a file of that format.

    Args:
        lines: the complete lines of the file.
        structure: converts a document to a record.

    Raises:
        Exception: the file does not have that format.
    """
    first, *steps = map(json.loads, lines)
    attempt = structure({**first, "scope": renamed(first["scope"])}, _Attempt)
    begun = attempt.moment()
    state: State = Asking(begun, attempt.seconds)
    store = ""
    for step in steps:
        if "begun_at" in step:
            begun = structure(step, _Begun).moment()
            state = attrs.evolve(state, begun=begun)
        else:
            received = structure(step, _Received)
            store = received.store
            # The format did not record whether there were other tries.
            state = Writing(received.key_id, received.digest, False, begun, 0.0, received.found)
    exact = attempt.nonce is None
    name = attempt.name if exact else base_of(attempt.name, attempt.nonce)
    return Entry(Plan(attempt.scope, name, exact, store), attempt.name, state)
