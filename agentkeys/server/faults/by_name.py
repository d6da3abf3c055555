"""Faults in JSON, by name. The kinds and groups are those of `agentkeys.server.faults`."""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import TYPE_CHECKING, Any, Final

from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import mask
from agentkeys.server import faults
from agentkeys.server.faults import Kind
from agentkeys.server.http.routes import routes_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkeys.server.faults import Fault

_PUBLIC: Final = {name: getattr(faults, name) for name in faults.__all__}

KINDS: Final[dict[str, type[Any]]] = {
    name: kind
    for name, kind in _PUBLIC.items()
    if inspect.isclass(kind) and issubclass(kind, Kind) and not inspect.isabstract(kind)
}
"""Every kind of fault by its name."""

GROUPS: Final[dict[str, frozenset[str]]] = {
    name: group for name, group in _PUBLIC.items() if isinstance(group, frozenset)
}
"""Every group of routes by its name."""


def routes_in(text: str) -> frozenset[str]:
    """Return the routes in *text*: a route, a group, or ``LISTS & AGENTRY | LOGIN``.

    Raises:
        InvalidArgumentError: a route does not exist.
    """
    return frozenset[str]().union(
        *(
            frozenset.intersection(*(_routes(name.strip()) for name in part.split("&")))
            for part in text.split("|")
        )
    )


def _routes(name: str) -> frozenset[str]:
    return GROUPS[name] if name in GROUPS else routes_of(name)


def kind_of(name: str, values: Mapping[str, object]) -> Kind:
    """Return the kind of this name; "inf" stands for infinity, which JSON lacks.

    Raises:
        InvalidArgumentError: the kind does not exist, or the values are not valid.
    """
    kind = KINDS.get(name)
    if kind is None:
        known = ", ".join(sorted(KINDS))
        raise InvalidArgumentError(f"there is no kind {mask(name)!r}: use one of {known}")
    types = {each.name: each.type for each in dataclasses.fields(kind)}
    if values.keys() <= types.keys():
        given = {
            each: math.inf if value == "inf" and types[each] == "float" else value
            for each, value in values.items()
        }
        try:
            made: Kind = kind(**given)
        except TypeError:
            pass  # a value is missing, or of a wrong type
        else:
            return made
    takes = ", ".join(map(_described, dataclasses.fields(kind))) or "nothing"
    raise InvalidArgumentError(f"{name} takes {takes}")


def as_json(fault: Fault) -> dict[str, object]:
    """Return *fault* as JSON, without the values that its repr hides."""
    kind: Any = fault.kind
    shown = [each.name for each in dataclasses.fields(kind) if each.repr]
    return {
        "id": fault.id,
        "kind": type(kind).__name__,
        "with": {name: _finite(getattr(kind, name)) for name in shown},
        "routes": sorted(fault.routes),
        "when": fault.when,
        "times": fault.times,
        "hits": fault.hits,
    }


def kinds_as_json() -> dict[str, object]:
    """Return what each kind does, and its values."""
    return {
        name: {
            "about": (inspect.getdoc(kind) or "").partition("\n")[0],
            "with": list(map(_described, dataclasses.fields(kind))),
        }
        for name, kind in KINDS.items()
    }


def _described(field: dataclasses.Field[Any]) -> str:
    is_optional = (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
    return f"{field.name} ({field.type}{', optional' if is_optional else ''})"


def _finite(value: object) -> object:
    return "inf" if value == math.inf else value
