"""The ids of entries: an id begins with the place of its key, so that a journal finds it there.

A place is 64 bits of a digest, as 16 characters; the id goes on with 16 more. An entry of an
earlier version has an id of 16 characters, which does not say its place.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from agentkeys.keys import Scope
    from agentkeys.lifecycle.machine.states import Entry

__all__ = ["PLACE", "fingerprint", "is_id", "new_id", "place_in", "place_of"]

PLACE: Final = 16
"""How many characters name a place."""
_HALF: Final = f"[0-9a-f]{{{PLACE}}}"
_ID: Final = re.compile(f"({_HALF})?{_HALF}")


def new_id(scope: Scope) -> str:
    """Return an id for a new entry of a key in *scope*."""
    return place_of(scope) + secrets.token_hex(PLACE // 2)


def fingerprint(entry: Entry) -> str:
    """Return the id of an adopted key: a digest of it, so that all who adopt it share one entry."""
    scope, plan = attrs.evolve(entry.plan.scope, account="", also=()), entry.plan
    state = entry.state
    what = [attrs.astuple(scope), plan.store, plan.name, entry.key_id, getattr(state, "digest", "")]
    return place_of(scope) + _digest(what)


def place_of(scope: Scope) -> str:
    """Return the name of a place: that of two scopes is the same if one `is_at` the other."""
    return _digest([scope.service, scope.realm, scope.kind, scope.id, scope.surface])


def place_in(entry_id: str) -> str:
    """Return the place that an id begins with, or an empty string if it names none."""
    found = _ID.fullmatch(entry_id)
    return found[1] or "" if found else ""


def is_id(text: str) -> bool:
    """Whether a text, which comes from another entry, can be an id."""
    return _ID.fullmatch(text) is not None


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:PLACE]
