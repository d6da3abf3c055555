"""Making records of JSON: the cattrs converters.

Records are read strictly and tolerantly: an unknown field is ignored, an optional one may be
absent or null, and a missing or mistyped one is refused: an int is never turned into a str.
"""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from functools import lru_cache, partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BadValue", "Reader", "as_spelt", "camel_case"]

T = TypeVar("T")
# The 64 bits that every JSON reader agrees on; beyond them some give a float, others an int.
_SMALLEST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


@attrs.frozen
class BadValue:
    """Where a document is not what a record wants, and what should stand there; never the value."""

    json_path: str
    expected: str


class Reader:
    """Reads the records of one service, which has its own way to spell its fields.

    Args:
        spell: gives a field's name in the JSON for its name in the record.

    """

    def __init__(self, spell: Callable[[str], str]) -> None:
        self._spell = spell
        self._converter = _converter(spell)
        self._hook: Callable[[Any], Any] = lru_cache(self._converter.get_structure_hook)

    def read(self, record: type[T], document: object) -> T | BadValue:
        """Return the *record* that *document* holds, or what is wrong with it.

        The fault is returned, not raised: a traceback from here would show the document, which may
        hold a secret.
        """
        try:
            return self._hook(record)(document, record)  # type: ignore[no-any-return]  # cattrs's hooks are untyped
        except Exception:  # noqa: BLE001  # whatever it was, what follows finds out where
            return self._fault(record, document, "$") or BadValue("$", "another document")

    def secret_field(self, record: type) -> str | None:
        """Return the JSON name of the field of *record* that holds a secret, if there is one."""
        if not attrs.has(record):
            return None
        fields = attrs.fields(attrs.resolve_types(record))
        return next((self._spell(field.name) for field in fields if field.type is Secret), None)

    def _fault(self, wanted: Any, value: object, json_path: str) -> BadValue | None:
        # Finding out where it is wrong costs time, so it is done after a failure only.
        if attrs.has(wanted):
            return self._fault_in_record(wanted, value, json_path)
        if _is_array(wanted):
            return self._fault_in_list(get_args(wanted)[0], value, json_path)
        try:
            self._converter.structure(value, wanted)
        except Exception:  # noqa: BLE001
            return BadValue(json_path, _named(wanted))
        return None

    def _fault_in_record(self, record: Any, value: object, json_path: str) -> BadValue | None:
        if not isinstance(value, dict):
            return BadValue(json_path, "an object")
        for field in attrs.fields(record):
            name = self._spell(field.name)
            where = f"{json_path}.{name}"
            if name not in value:
                if field.default is attrs.NOTHING:
                    return BadValue(where, f"{_named(field.type)}, and it is missing")
            elif fault := self._fault(field.type, value[name], where):
                return fault
        return None

    def _fault_in_list(self, item: Any, value: object, json_path: str) -> BadValue | None:
        if not isinstance(value, list):
            return BadValue(json_path, "an array")
        faults = (self._fault(item, each, f"{json_path}[{n}]") for n, each in enumerate(value))
        return next((fault for fault in faults if fault), None)


def as_spelt(field: str) -> str:
    """Return *field* as it is: the JSON has snake_case too."""
    return field


def camel_case(field: str) -> str:
    """Return *field* in camelCase: ``created_at`` is ``createdAt``."""
    first, *others = field.split("_")
    return first + "".join(other.capitalize() for other in others)


def _converter(spell: Callable[[str], str]) -> Converter:
    converter = Converter(detailed_validation=False)
    for kind, read in _SCALARS.items():
        if isinstance(kind, type):
            converter.register_structure_hook(kind, read)
        else:  # X | None and dict[str, bool] are no classes
            converter.register_structure_hook_func(partial(operator.eq, kind), read)

    @converter.register_structure_hook_factory(attrs.has)
    def _record(record: Any) -> Callable[[Any, Any], Any]:
        fields = attrs.fields(attrs.resolve_types(record))
        spelt: dict[str, Any] = {f.name: override(rename=spell(f.name)) for f in fields}
        return make_dict_structure_fn(record, converter, **spelt)

    @converter.register_structure_hook_factory(_is_array)
    def _array(kind: Any) -> Callable[[Any, Any], Any]:
        item = get_args(kind)[0]
        read = converter.get_structure_hook(item)
        return lambda value, _: tuple([read(each, item) for each in _list(value)])

    return converter


def _is_array(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is tuple


def _optional(kind: Any) -> Any:
    """Return X of ``X | None``, or None."""
    if not isinstance(kind, UnionType):
        return None
    inner = [each for each in get_args(kind) if each is not NoneType]
    return inner[0] if len(inner) == 1 else None


def _named(kind: Any) -> str:
    return _NAMES.get(_optional(kind) or kind, "another value")


def _list(value: object) -> list[object]:
    if type(value) is not list:
        raise TypeError
    return value


# One flat function for each type of field, and one for its `| None`: with a hundred keys on a page
# these calls are most of what reading it costs. type() and not isinstance(): True is an int too.


def _str(value: object, _: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _str_or_none(value: object, _: object) -> str | None:
    if value is not None and type(value) is not str:
        raise TypeError
    return value


def _int(value: object, _: object) -> int:
    if type(value) is not int or not _SMALLEST <= value <= _LARGEST:
        raise TypeError
    return value


def _int_or_none(value: object, _: object) -> int | None:
    return None if value is None else _int(value, _)


def _flags(value: object, _: object) -> dict[str, bool]:
    if type(value) is not dict or not all(type(flag) is bool for flag in value.values()):
        raise TypeError
    return value


def _flags_or_none(value: object, _: object) -> dict[str, bool] | None:
    return None if value is None else _flags(value, _)


def _datetime(value: object, _: object) -> datetime:
    if type(value) is not str or "T" not in value:
        raise TypeError
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is UTC:
        return moment
    # Both services document UTC, so that is what a time without an offset means.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _datetime_or_none(value: object, _: object) -> datetime | None:
    return None if value is None else _datetime(value, _)


def _secret(value: object, _: object) -> Secret:
    # What does not print cannot be shown, stored or sent as it is.
    if type(value) is not str or not value or not value.isprintable():
        raise TypeError
    return Secret(value)


_SCALARS: Final[dict[Any, Callable[[object, object], object]]] = {
    str: _str,
    str | None: _str_or_none,
    int: _int,
    int | None: _int_or_none,
    datetime: _datetime,
    datetime | None: _datetime_or_none,
    dict[str, bool]: _flags,
    dict[str, bool] | None: _flags_or_none,
    Secret: _secret,
}
_NAMES: Final[dict[Any, str]] = {
    str: "a string",
    int: "an integer",
    datetime: "an ISO 8601 time",
    dict[str, bool]: "an object of booleans",
    Secret: "a string that is not empty, of characters that print",
}
