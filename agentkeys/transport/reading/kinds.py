"""The types that a record's field may have, and how a value of each is read from JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import attrs

from agentkeys.secret import Secret
from agentkeys.transport.reading import times

if TYPE_CHECKING:
    import enum

__all__ = [
    "NAMES",
    "SCALARS",
    "BadValue",
    "Kind",
    "Milliseconds",
    "Seconds",
    "array",
    "choice",
    "enumeration",
    "literal",
    "nullable",
    "table",
    "usual",
]

Seconds: TypeAlias = Annotated[datetime, "seconds since 1970"]
"""The type of a field that is a datetime, and in JSON the number of seconds since 1970."""
Milliseconds: TypeAlias = Annotated[datetime, "milliseconds since 1970"]
"""The type of a field that is a datetime, and in JSON the number of milliseconds since 1970."""

# The 64 bits that every JSON reader agrees on; beyond them some give a float, others an int.
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


@attrs.frozen
class BadValue:
    """Where a document is not what a record wants, and what should stand there; never the value."""

    json_path: str
    expected: str


Exact: TypeAlias = Callable[[object, str], Any]
Quick: TypeAlias = Callable[[Any], Any]


@attrs.frozen(eq=False)
class Kind:
    """A type that a field may have.

    Attributes:
        words: one of it, in words.
        plural: many of it.
        exact: reads the value at a JSON path, or returns the `BadValue` that says what is wrong.
        quick: reads the same of a usual value, and raises for any other.
        source: an expression that does what *quick* does, without a call; empty if there is none.
            ``{0}`` is the value where it is first asked for, and ``v`` is it from then on. It may
            use `NAMES`.
        parts: the kinds of what is in it, and the names under which a record has them.
    """

    words: str
    plural: str
    exact: Exact
    quick: Quick
    source: str = ""
    parts: Sequence[tuple[str, Kind]] = ()


class _UnusualError(Exception):
    """A value that only the exact reader reads, or refuses. It holds nothing."""


def _unusual() -> Any:
    raise _UnusualError


NAMES: Final[dict[str, Any]] = {
    "Secret": Secret,
    "UTC": UTC,
    "fromisoformat": datetime.fromisoformat,
    "moment": times.moment,
    "unusual": _unusual,
}
"""What a kind's source may use."""


def usual(exact: Exact) -> Quick:
    """Return what reads as *exact* does, and raises where that finds a fault."""

    def quick(value: Any) -> Any:
        found = exact(value, "")
        return _unusual() if isinstance(found, BadValue) else found

    return quick


def _scalar(
    words: str, plural: str, types: Iterable[type], read: Quick | None = None, source: str = ""
) -> Kind:
    """Return the kind of values of *types* that *read* takes, or of all of them."""
    # Their very types: True is an int too.
    wanted = frozenset(types)

    def exact(value: object, json_path: str) -> Any:
        if type(value) in wanted:
            try:
                return value if read is None else read(value)
            except (ValueError, OverflowError):
                pass
        return BadValue(json_path, words)

    return Kind(words, plural, exact, usual(exact), source)


def _anything(value: object, _: str) -> object:
    return value


def _of_64_bits(value: int) -> int:
    if _SMALLEST <= value <= _LARGEST:
        return value
    raise ValueError


def _finite(value: float) -> float:
    if math.isfinite(value):
        return float(value)
    raise ValueError


def _printing(value: str) -> Secret:
    # What does not print cannot be shown, stored or sent as it is.
    if value and value.isprintable():
        return Secret(value)
    raise ValueError


def _of_milliseconds(value: float) -> datetime:
    return times.since_epoch(value / 1000)


_INT: Final = f"v if type({{0}}) is int and {_SMALLEST} <= v <= {_LARGEST} else unusual()"
_TIME: Final = "v if (v := fromisoformat(text := {0})).tzinfo is UTC else moment(text)"
_SECRET: Final = "Secret(v) if type({0}) is str and v and v.isprintable() else unusual()"  # noqa: S105  # source

SCALARS: Final[dict[Any, Kind]] = {
    str: _scalar("a string", "strings", [str], source="v if type({0}) is str else unusual()"),
    bool: _scalar("a boolean", "booleans", [bool], source="v if type({0}) is bool else unusual()"),
    int: _scalar("an integer", "integers", [int], _of_64_bits, _INT),
    float: _scalar("a number", "numbers", [int, float], _finite),
    datetime: _scalar("an ISO 8601 time", "ISO 8601 times", [str], times.moment, _TIME),
    date: _scalar("an ISO 8601 date", "ISO 8601 dates", [str], times.day),
    Seconds: _scalar(
        "a time in seconds since 1970",
        "times in seconds since 1970",
        [int, float],
        times.since_epoch,
    ),
    Milliseconds: _scalar(
        "a time in milliseconds since 1970",
        "times in milliseconds since 1970",
        [int, float],
        _of_milliseconds,
    ),
    Secret: _scalar(
        "a string that is not empty, of characters that print",
        "strings that are not empty, of characters that print",
        [str],
        _printing,
        _SECRET,
    ),
    type(None): _scalar("null", "nulls", [type(None)]),
    # Whatever the service says there.
    Any: Kind("a value", "values", _anything, lambda value: value, "{0}"),
    object: Kind("a value", "values", _anything, lambda value: value, "{0}"),
}


def nullable(inner: Kind) -> Kind:
    """Return the kind of ``X | None``."""

    def exact(value: object, json_path: str) -> Any:
        return None if value is None else inner.exact(value, json_path)

    def quick(value: Any) -> Any:
        return None if value is None else inner.quick(value)

    source = inner.source and f"None if {{0}} is None else {inner.source.format('v')}"
    return Kind(inner.words, inner.plural, exact, quick, source, [("", inner)])


def choice(kinds: tuple[Kind, ...]) -> Kind:
    """Return the kind of ``X | Y``: the first one that takes the value."""
    words = " or ".join(kind.words for kind in kinds)

    def exact(value: object, json_path: str) -> Any:
        fault = BadValue(json_path, words)
        for kind in kinds:
            found = kind.exact(value, json_path)
            if not isinstance(found, BadValue):
                return found
            if len(found.json_path) > len(fault.json_path):
                fault = found  # it is this one as far as that
        return fault

    plural = " or ".join(kind.plural for kind in kinds)
    return Kind(words, plural, exact, usual(exact), parts=[("", kind) for kind in kinds])


def array(item: Kind, of: type[tuple[Any, ...] | list[Any]]) -> Kind:
    """Return the kind of ``tuple[X, ...]`` or ``list[X]``."""

    def exact(value: object, json_path: str) -> Any:
        if type(value) is not list:
            return BadValue(json_path, "an array")
        items = []
        for n, each in enumerate(value):
            found = item.exact(each, f"{json_path}[{n}]")
            if isinstance(found, BadValue):
                return found
            items.append(found)
        return of(items)

    def quick(value: Any) -> Any:
        read = item.quick
        return of([read(each) for each in value]) if type(value) is list else _unusual()

    return Kind("an array", "arrays", exact, quick, parts=[("", item)])


def table(item: Kind) -> Kind:
    """Return the kind of ``dict[str, X]``. Its names may be anything, so no path shows one."""
    words = f"an object of {item.plural}"

    def exact(value: object, json_path: str) -> Any:
        if type(value) is not dict:
            return BadValue(json_path, words)
        inside = f"{json_path}[*]"
        items = {}
        for name, each in value.items():
            found = item.exact(each, inside)
            if isinstance(found, BadValue):
                return BadValue(json_path, words) if found.json_path == inside else found
            items[name] = found
        return items

    return Kind(words, f"objects of {item.plural}", exact, usual(exact), parts=[("", item)])


def literal(values: tuple[Any, ...]) -> Kind:
    """Return the kind of a Literal."""
    # With its type: True equals 1.
    wanted = frozenset((type(value), value) for value in values)

    def read(value: Any) -> Any:
        if (type(value), value) in wanted:
            return value
        raise ValueError

    return _one_of(values, read)


def enumeration(kind: type[enum.Enum]) -> Kind:
    """Return the kind of an Enum: its members by their values, and what its `_missing_` takes."""
    return _one_of([member.value for member in kind], kind)


def _one_of(values: Iterable[Any], read: Quick) -> Kind:
    words = " or ".join(json.dumps(value) for value in values)
    return _scalar(words, f"values out of {words}", map(type, values), read)
