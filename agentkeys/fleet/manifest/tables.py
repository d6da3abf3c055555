"""What a table of the file may hold: the records, and how each field is checked.

`schema.json` says the same for editors, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys import durations
from agentkeys.errors import InvalidArgumentError
from agentkeys.fleet.manifest.declared import GRACE
from agentkeys.fleet.manifest.mistakes import ExpectedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULTS", "FIELDS", "SERVICES", "TEMPLATES", "KeyTable"]

SERVICES: Final = ("agentity", "agentry")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ExpectedError(f"must be a string, not {_kind(value)}")
    if not value or not value.isprintable():
        raise ExpectedError("must be a string of printable characters, at least one")
    return value


def _service(value: object) -> str:
    if value not in SERVICES:
        raise ExpectedError(f"must be one of {', '.join(map(repr, SERVICES))}")
    return str(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ExpectedError(f"must be true or false, not {_kind(value)}")
    return value


def _duration(value: object) -> float:
    if not isinstance(value, str):
        raise ExpectedError(
            f'must be a duration in quotes, like "24h" or "90d", not {_kind(value)}'
        )
    try:
        return durations.parsed(value)
    except InvalidArgumentError:
        pass
    raise ExpectedError('must be a number and its unit, like "90d", "24h", "15m" or "30s"')


def _flags(value: object) -> Mapping[str, bool]:
    if isinstance(value, dict) and all(isinstance(on, bool) for on in value.values()):
        return value
    raise ExpectedError("must be a table of true and false, like { read_inbox = true }")


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a date or a time")


_KINDS: Final = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    dict: "a table",
    list: "an array",
}


def _field(check: Callable[[Any], Any], default: Any = None, **more: Any) -> Any:
    return attrs.field(default=default, metadata={"check": check, **more})


@attrs.frozen
class KeyTable:
    """A table `[keys.NAME]`, whose fields are checked one by one.

    Attributes:
        title: the NAME of the table.
        source: the CSV file or the query whose rows fill the templates; None for one key.
        service: which service the key is of.
        name: what the key is called; the NAME of the table by default.
        inbox: the inbox that it belongs to (Agentry).
        pod: the pod that it belongs to (Agentry, agent surface).
        tenant: whether it belongs to the tenant (Agentry).
        agent: whether it is a key of the agent surface (Agentry).
        permissions: what it may do (Agentry, agent surface).
        store: the address of the store of its secret.
        grace: how long a key lives on that is replaced.
        max_grace: how long at most, if it is used.
        max_age: how old it gets before it is replaced.
        profile: the profile with which it is looked after.
    """

    title: str
    source: str | None = _field(_text, name="from")
    service: str = _field(_service, "", in_defaults=True)
    name: str = _field(_text, "", template=True)
    inbox: str | None = _field(_text, template=True)
    pod: str | None = _field(_text, template=True)
    tenant: bool = _field(_flag, default=False)
    agent: bool = _field(_flag, default=False, in_defaults=True)
    permissions: Mapping[str, bool] | None = _field(_flags)
    store: str = _field(_text, "", template=True)
    grace: float = _field(_duration, GRACE, in_defaults=True)
    max_grace: float | None = _field(_duration, in_defaults=True)
    max_age: float | None = _field(_duration, in_defaults=True)
    profile: str | None = _field(_text, in_defaults=True)


FIELDS: Final = {
    str(each.metadata.get("name", each.name)): each
    for each in attrs.fields(KeyTable)
    if each.name != "title"
}
"""The fields of a table, by their names in the file."""

DEFAULTS: Final = {name: each for name, each in FIELDS.items() if each.metadata.get("in_defaults")}
"""Those that `[defaults]` may hold."""

TEMPLATES: Final = tuple(each.name for each in FIELDS.values() if each.metadata.get("template"))
"""Those that a row fills."""
