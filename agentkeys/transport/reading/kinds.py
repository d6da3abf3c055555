"""The types that a record's field may have, and the cattrs hooks that read each from JSON.

A hook accepts its own JSON type only, and raises `Fault` for any other.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)

import attrs

from agentkeys.secret import Secret
from agentkeys.transport.reading import times

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "COMPOSED",
    "NOTHING",
    "SCALARS",
    "Fault",
    "Hook",
    "Milliseconds",
    "Seconds",
    "enumeration",
    "inside",
    "is_enumeration",
    "parts",
]

Hook: TypeAlias = Callable[[Any, Any], Any]
"""Reads a value as a type; the signature is the one that cattrs calls."""

Seconds: TypeAlias = Annotated[datetime, "seconds since 1970"]
"""The type of a field that is a datetime, and in JSON the number of seconds since 1970."""
Milliseconds: TypeAlias = Annotated[datetime, "milliseconds since 1970"]
"""The type of a field that is a datetime, and in JSON the number of milliseconds since 1970."""

NOTHING: Final = object()
"""The value of a field that is missing; it is not a JSON value."""

_ARRAYS: Final = {(tuple, ...), (list,), (Sequence,)}
# The 64 bits that every JSON reader agrees on; beyond them, some return a float and others an int.
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


class Fault(Exception):  # noqa: N818  # internal
    """A value does not fit a record: what was expected, and where; never the value."""

    def __init__(self, expected: str) -> None:
        super().__init__()
        self.expected = expected
        self.path = ""


def parts(kind: Any) -> list[tuple[str, Any]]:
    """Return the parts of a type: pairs of a field's name, or "", and a type.

    Raises:
        TypeError: no JSON is read as this type.
    """
    if attrs.has(kind):
        fields = attrs.fields(attrs.resolve_types(kind))
        return [(field.name, field.type) for field in fields if field.init]
    return [("", part) for part in _unnamed(kind)]


def _unnamed(kind: Any) -> tuple[Any, ...]:
    match get_origin(kind), get_args(kind):
        case origin, _ if kind in SCALARS or is_enumeration(kind) or origin is Literal:
            return ()
        case None, _ if isinstance(kind, NewType):
            return (kind.__supertype__,)
        case None, _ if hasattr(kind, "__value__"):  # type X = ...
            return (kind.__value__,)
        case origin, choices if origin in {Union, UnionType}:
            return choices
        case origin, (item, *rest) if origin is Annotated or (origin, *rest) in _ARRAYS:
            return (item,)
        case origin, (name, item) if origin in {dict, Mapping} and name is str:
            return (item,)
    raise TypeError(f"no JSON is read as {kind!r}: see agentkeys.transport.reading.convert.Reader")


def inside(kind: Any) -> set[Any]:
    """Return a type and all its parts, however deep; raise TypeError if one cannot be read."""
    found, waiting = {kind}, [kind]
    while waiting:
        new = {part for _, part in parts(waiting.pop())} - found
        found |= new
        waiting.extend(new)
    return found


def is_enumeration(kind: Any) -> bool:
    """Whether a type is an Enum."""
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _text(value: object, _: Any) -> str:
    if type(value) is str:  # a fast path, because most fields are a str
        return value
    raise Fault("a string")


def _anything(value: object, _: Any) -> object:
    if value is NOTHING:
        raise Fault("a value")
    return value


def _made(words: str, types: Iterable[type], make: Callable[[Any], Any]) -> Hook:
    """Return the hook that accepts values of *types* for which *make* succeeds."""
    # The exact types, because True is an int too.
    wanted = frozenset(types)

    def read(value: object, _: Any) -> Any:
        if type(value) in wanted:
            try:
                return make(value)
            except (ValueError, OverflowError):
                pass
        raise Fault(words)

    return read


def _of_64_bits(value: int) -> int:
    if _SMALLEST <= value <= _LARGEST:
        return value
    raise ValueError


def _finite(value: float) -> float:
    if math.isfinite(value):
        return float(value)
    raise ValueError


def _printing(value: str) -> Secret:
    # A character that is not printable cannot be shown, stored or sent unchanged.
    if value and value.isprintable():
        return Secret(value)
    raise ValueError


def _of_milliseconds(value: float) -> datetime:
    return times.since_epoch(value / 1000)


_SECRET: Final = "a string that is not empty, of characters that print"  # noqa: S105  # words

SCALARS: Final[Mapping[Any, Hook]] = {
    str: _text,
    bool: _made("a boolean", [bool], lambda value: value),
    int: _made("an integer", [int], _of_64_bits),
    float: _made("a number", [int, float], _finite),
    datetime: _made("an ISO 8601 time", [str], times.moment),
    date: _made("an ISO 8601 date", [str], times.day),
    Seconds: _made("a time in seconds since 1970", [int, float], times.since_epoch),
    Milliseconds: _made("a time in milliseconds since 1970", [int, float], _of_milliseconds),
    Secret: _made(_SECRET, [str], _printing),
    NoneType: _made("null", [NoneType], lambda value: value),
    # Any value.
    Any: _anything,
    object: _anything,
}
"""The hook of each type that has no parts."""


def _union(kind: Any, converter: Converter) -> Hook:
    """Return the hook of ``X | None`` or ``X | Y``: the first part that accepts a value."""
    choices = [each for each in get_args(kind) if each is not NoneType]
    hooks = [(converter.get_structure_hook(each), each) for each in choices]
    hook, only = hooks[0] if len(hooks) == 1 else (_choice(hooks), None)
    if len(choices) == len(get_args(kind)):
        return hook
    return lambda value, _: None if value is None else hook(value, only)


def _choice(hooks: Sequence[tuple[Hook, Any]]) -> Hook:
    def read(value: object, _: Any) -> Any:
        faults = []
        for hook, kind in hooks:
            try:
                return hook(value, kind)
            except Fault as fault:
                faults.append(fault)
        deepest = max(faults, key=lambda fault: len(fault.path))
        if deepest.path:  # the value is of this type up to there
            raise deepest
        raise Fault(" or ".join(fault.expected for fault in faults))

    return read


def _array(kind: Any, converter: Converter) -> Hook:
    """Return the hook of ``tuple[X, ...]`` or ``list[X]``."""
    item = get_args(kind)[0]
    hook = converter.get_structure_hook(item)
    of = list if get_origin(kind) is list else tuple

    def read(value: object, _: Any) -> Any:
        if type(value) is not list:
            raise Fault("an array")
        items: list[Any] = []
        try:
            for each in value:
                items.append(hook(each, item))  # noqa: PERF401  # the index is the number of items read so far
        except Fault as fault:
            fault.path = f"[{len(items)}]{fault.path}"
            raise
        return of(items)

    return read


def _table(kind: Any, converter: Converter) -> Hook:
    """Return the hook of ``dict[str, X]``. Its names may be secrets, so no path shows one."""
    _, item = get_args(kind)
    hook = converter.get_structure_hook(item)

    def read(value: object, _: Any) -> dict[str, Any]:
        items = value if type(value) is dict else {"": NOTHING}  # no hook accepts it
        try:
            return {name: hook(each, item) for name, each in items.items()}
        except Fault as fault:
            if fault.path:
                fault.path = f"[*]{fault.path}"
            else:
                fault.expected = f"an object of {_plural(fault.expected)}"
            raise

    return read


def _plural(words: str) -> str:
    """Return ``strings`` for ``a string``."""
    return re.sub(r"\ban? ((?:ISO 8601 )?\w+)", r"\1s", words).replace(" is ", " are ")


def _literal(kind: Any) -> Hook:
    # Compared with their type, because True equals 1.
    wanted = frozenset((type(value), value) for value in get_args(kind))

    def read(value: Any) -> Any:
        if (type(value), value) in wanted:
            return value
        raise ValueError

    return _one_of(get_args(kind), read)


def enumeration(kind: type[enum.Enum]) -> Hook:
    """Return the hook of an Enum: its members by value, and whatever its `_missing_` accepts."""
    return _one_of([member.value for member in kind], kind)


def _one_of(values: Iterable[Any], make: Callable[[Any], Any]) -> Hook:
    words = " or ".join(json.dumps(value) for value in values)
    return _made(words, map(type, values), make)


COMPOSED: Final[Mapping[Any, Callable[..., Hook]]] = {
    Union: _union,
    UnionType: _union,
    tuple: _array,
    list: _array,
    Sequence: _array,
    dict: _table,
    Mapping: _table,
    Literal: _literal,
}
"""The hook factory of each generic type, by its origin."""
