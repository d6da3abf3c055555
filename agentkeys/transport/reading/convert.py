"""Read JSON into records, by cattrs.

Unknown fields are ignored, and an optional field may be absent or null. A missing field, or a field
of another type, is an error: an int is never turned into a str.
"""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, override

from agentkeys.transport.reading import kinds
from agentkeys.transport.reading.kinds import NOTHING, Fault, Milliseconds, Seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.transport.reading.kinds import Hook

__all__ = ["BadValue", "Milliseconds", "Reader", "Seconds", "as_spelt", "camel_case"]

T = TypeVar("T")


@attrs.frozen
class BadValue:
    """What does not fit a record: the place in the document, what was expected; never the value."""

    json_path: str
    expected: str


class Reader:
    """Reads the records of one service.

    A field is a str, bool, int, float, datetime, date, Secret, Enum or Literal, another record,
    ``tuple[X, ...]``, ``list[X]``, ``dict[str, X]``, ``X | Y`` or ``X | None`` of these, a datetime
    as `Seconds` or `Milliseconds`, or Any.

    Args:
        spell: returns the JSON name of a field, e.g. `camel_case`.
    """

    def __init__(self, spell: Callable[[str], str]) -> None:
        self.spell: Final = spell
        self._converter = _converter(partial(_record, spell))
        # A slower converter of the same records, which knows the place of a fault.
        self._locating = _converter(partial(_record_of_located, spell))
        self._hooks: dict[type, Hook] = {}

    def check(self, record: type) -> Hook:
        """Return the hook of *record*; raise TypeError if the type of a field cannot be read."""
        for kind in kinds.inside(record):
            if kinds.is_enumeration(
                kind
            ):  # without this, an enum that is a str would be read as a str
                for converter in (self._converter, self._locating):
                    converter.register_structure_hook(kind, kinds.enumeration(kind))
        hook = self._hooks[record] = self._converter.get_structure_hook(record)
        return hook

    def read(self, record: type[T], document: object) -> T | BadValue:
        """Return the *record* that *document* holds, or its first fault.

        The fault is returned, not raised: a traceback from here would show the document, which may
        hold a secret.

        Raises:
            TypeError: a field of *record* has a type that cannot be read.
        """
        hook = self._hooks.get(record) or self.check(record)
        try:
            return hook(document, record)  # type: ignore[no-any-return]  # it makes this record
        except Exception:  # noqa: BLE001, S110  # the slower converter finds it again
            pass
        try:
            return self._locating.structure(document, record)
        except Fault as fault:
            return BadValue(f"${fault.path}", fault.expected)
        except Exception:  # noqa: BLE001  # nested too deeply
            return BadValue("$", "fewer levels")


def as_spelt(field: str) -> str:
    """Return *field* unchanged, for JSON in snake_case."""
    return field


def camel_case(field: str) -> str:
    """Return *field* in camelCase: ``created_at`` is ``createdAt``."""
    first, *others = field.split("_")
    return first + "".join(other.capitalize() for other in others)


def _converter(record: Callable[[Any, Converter], Hook]) -> Converter:
    """Return a converter with the hooks of `kinds`, and those that *record* builds for records."""
    made = Converter(detailed_validation=False)
    for kind, hook in kinds.SCALARS.items():
        if isinstance(kind, type) and kind is not object:  # every class is an object
            made.register_structure_hook(kind, hook)
        else:
            made.register_structure_hook_func(partial(operator.eq, kind), hook)
    for origin, factory in kinds.COMPOSED.items():
        made.register_structure_hook_factory(partial(_is_of, origin), factory)
    made.register_structure_hook_factory(attrs.has, record)
    return made


def _is_of(origin: Any, kind: Any) -> bool:
    return get_origin(kind) is origin


def _record(spell: Callable[[str], str], record: Any, converter: Converter) -> Hook:
    """Return the hook of a record."""
    fields = [field for field in attrs.fields(record) if field.init]
    if all(map(_is_simple, fields)) and not hasattr(record, "__attrs_init__"):
        make = _by_position(spell, record, converter)
    else:
        names: dict[str, Any] = {each.name: override(rename=spell(each.name)) for each in fields}
        make = make_dict_structure_fn(record, converter, **names)
    # Without a required field, a value that is not an object would not fail; one call less
    # otherwise.
    is_strict = any(field.default is attrs.NOTHING for field in fields)
    return make if is_strict else _strict(record, make)


def _is_simple(field: attrs.Attribute[Any]) -> bool:
    may_be_absent = field.default is None
    return not field.kw_only and (may_be_absent or field.default is attrs.NOTHING)


def _by_position(spell: Callable[[str], str], record: Any, converter: Converter) -> Hook:
    """Return the hook of make_dict_structure_fn for a record whose absent fields are None.

    That hook passes optional fields by keyword, from a dict for each record: a tenth of the
    time of a page of 100. This hook makes the same call with positional arguments.
    """
    names: dict[str, Any] = {"record": record}
    arguments = []
    for n, field in enumerate(each for each in attrs.fields(record) if each.init):
        holds_records = any(map(attrs.has, kinds.inside(field.type)))  # maybe one in the making
        hook = converter.structure if holds_records else converter.get_structure_hook(field.type)
        names |= {f"hook_{n}": hook, f"type_{n}": field.type}
        name = repr(spell(field.name))
        value = f"hook_{n}(o[{name}], type_{n})"
        is_needed = field.default is attrs.NOTHING
        arguments.append(value if is_needed else f"{value} if {name} in o else None")
    # All of it is ours: the names of fields are in it as literals, and no value is.
    exec(f"def read(o, _): return record({', '.join(arguments)})", names)  # noqa: S102
    return names["read"]  # type: ignore[no-any-return]  # it is what the source defines


def _record_of_located(spell: Callable[[str], str], record: Any, converter: Converter) -> Hook:
    """Return the hook of a record that says of a fault in which field it is."""
    overrides: dict[str, Any] = {}
    nothing = {}
    for field in (each for each in attrs.fields(record) if each.init):
        name = spell(field.name)
        overrides[field.name] = override(rename=name, struct_hook=_located(name, converter))
        if field.default is attrs.NOTHING:
            nothing[name] = NOTHING
    make = make_dict_structure_fn(record, converter, **overrides)
    return _strict(record, lambda value, kind: make({**nothing, **value}, kind))


def _located(name: str, converter: Converter) -> Hook:
    """Return the hook of a field; it looks up the one of its type when it is used."""

    def read(value: object, kind: Any) -> Any:
        try:
            return converter.structure(value, kind)
        except Fault as fault:
            fault.path = f".{name}{fault.path}"
            if value is NOTHING:
                fault.expected += ", and it is missing"
            raise

    return read


def _strict(record: Any, make: Hook) -> Hook:
    """Return a hook that takes an object alone, and raises a `Fault` alone."""

    def read(value: object, kind: Any) -> Any:
        if type(value) is not dict:
            raise Fault("an object")
        try:
            return make(value, kind)
        except (KeyError, TypeError, ValueError):  # it lacks a field, or a validator refuses it
            raise Fault(f"what {record.__name__} can be") from None

    return read
