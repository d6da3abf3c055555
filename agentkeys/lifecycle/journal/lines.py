"""Convert an entry to a line of text, and back; no disk access.

The text may come from another user, or from an earlier or later version: `loaded` returns an entry,
or the reason why it is not one.
"""

from __future__ import annotations

import json
import math
import operator
from functools import partial
from typing import Any, Final

import attrs
from cattrs.preconf.json import make_converter

from agentkeys.lifecycle.journal import first_format
from agentkeys.lifecycle.journal.former_places import renamed
from agentkeys.lifecycle.machine.naming import is_made_of
from agentkeys.lifecycle.machine.states import (
    FORMAT,
    Asking,
    Denied,
    Dropping,
    Entry,
    Kept,
    KeyId,
    Ousting,
    Plan,
    Restoring,
    Retiring,
    State,
    Writing,
)

__all__ = ["NotAnEntry", "Torn", "dumped", "loaded"]

_NOTED: Final[tuple[type[State], ...]] = (
    Asking,
    Denied,
    Writing,
    Dropping,
    Retiring,
    Ousting,
    Restoring,
    Kept,
)
_PLACES_BY_NAME: Final = 3
"""The first format that names a scope by what it is, and not by a path."""

_STATES: Final = {kind.__name__: kind for kind in _NOTED}


@attrs.frozen
class Torn:
    """The first line is incomplete: its process died before it was durable, so nothing was sent."""


@attrs.frozen
class NotAnEntry:
    """The text is not an entry that this version can read or trust.

    Attributes:
        why: the reason, as the end of a sentence about the file.
    """

    why: str


def dumped(entry: Entry) -> bytes:
    """Return an entry as a line that `loaded` can read."""
    document = {
        "format": FORMAT,
        "plan": _converter.unstructure(entry.plan),
        "name": entry.name,
        "state": type(entry.state).__name__,
        **_converter.unstructure(entry.state),
    }
    return f"{json.dumps(document)}\n".encode()


def loaded(text: bytes) -> Entry | NotAnEntry | Torn:
    """Return the entry of a file with one line for each step; the last complete line counts.

    The step of an incomplete line was not yet taken.
    """
    lines = text.split(b"\n")[:-1]
    if not lines:
        return Torn()
    try:
        # The last line counts: a later version may have continued an entry of an earlier version.
        last = json.loads(lines[-1])
        number = last.get("format", 1)
        if number not in range(1, FORMAT + 1):
            return NotAnEntry(f"it has format {number}, which needs a newer agentkeys")
        entry = first_format.entry(lines, _converter.structure) if number == 1 else _entry(last)
    except Exception:  # noqa: BLE001  # any error means that it is not an entry
        return NotAnEntry("it is not an entry that this version can read")
    if entry.plan.exact or is_made_of(entry.name, entry.plan.name):
        return entry
    return NotAnEntry("the name of its key does not end in a nonce, so it proves nothing")


def _entry(document: dict[str, Any]) -> Entry:
    plan = document.pop("plan")
    if document.pop("format") < _PLACES_BY_NAME:
        plan["scope"] = renamed(plan["scope"])
    plan = _converter.structure(plan, Plan)
    name = _converter.structure(document.pop("name"), str)
    kind: type[State] = _STATES[document.pop("state")]
    return Entry(plan, name, _converter.structure(document, kind))


# Strictly: cattrs would convert any value to a str, and JSON has numbers that are not times.


def _text(value: object, _: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _flag(value: object, _: object) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _seconds(value: object, _: object) -> float:
    if type(value) not in {int, float}:
        raise TypeError
    seconds = float(value)  # type: ignore[arg-type]  # its type was checked above
    if not 0 <= seconds < math.inf:
        raise ValueError
    return seconds


def _texts(value: object, _: object) -> tuple[str, ...]:
    if type(value) is not list:
        raise TypeError
    return tuple(_text(each, str) for each in value)


def _key_id(value: object, _: object) -> str | int | None:
    if value is not None and type(value) not in {int, str}:
        raise TypeError
    return value  # type: ignore[return-value]  # its type was checked above


def _known_key_id(value: object, _: object) -> KeyId:
    key_id = _key_id(value, None)
    if key_id is None:
        raise TypeError
    return key_id


_converter: Final = make_converter(detailed_validation=False, forbid_extra_keys=True)
_converter.register_structure_hook(str, _text)
_converter.register_structure_hook(bool, _flag)
_converter.register_structure_hook(float, _seconds)
_converter.register_structure_hook_func(partial(operator.eq, tuple[str, ...]), _texts)
_converter.register_structure_hook_func(partial(operator.eq, str | int | None), _key_id)
_converter.register_structure_hook_func(partial(operator.eq, KeyId), _known_key_id)
