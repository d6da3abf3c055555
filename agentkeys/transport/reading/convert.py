"""Making records of JSON.

Records are read strictly and tolerantly: an unknown field is ignored, an optional one may be
absent or null, and a missing or mistyped one is refused: an int is never turned into a str.

A record has two readers. The quick one is generated, makes no call for most fields, and reads what
is usual. For anything else the exact one begins again, and reads it or says where it is wrong.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from functools import partial
from types import MemberDescriptorType, NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import attrs

from agentkeys.secret import Secret
from agentkeys.transport.reading import kinds
from agentkeys.transport.reading.kinds import BadValue, Kind, Milliseconds, Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["BadValue", "Milliseconds", "Reader", "Seconds", "as_spelt", "camel_case"]

T = TypeVar("T")


class Reader:
    """Reads the records of one service, which has its own way to spell its fields.

    A field is a str, bool, int, float, datetime, date, Secret, Enum or Literal, another record,
    ``tuple[X, ...]``, ``list[X]``, ``dict[str, X]``, ``X | Y`` or ``X | None`` of these, a datetime
    as `Seconds` or `Milliseconds`, or Any.

    Args:
        spell: gives a field's name in the JSON for its name in the record.

    """

    def __init__(self, spell: Callable[[str], str]) -> None:
        self._spell = spell
        self._kinds: dict[type, Kind] = {}

    def read(self, record: type[T], document: object) -> T | BadValue:
        """Return the *record* that *document* holds, or what is wrong with it.

        The fault is returned, not raised: a traceback from here would show the document, which may
        hold a secret.

        Raises:
            TypeError: *record* has a field of a type that is never read.

        """
        kind = self.kind(record)
        try:
            return kind.quick(document)  # type: ignore[no-any-return]  # it makes this record
        except Exception:  # noqa: BLE001, S110  # whatever it was, the exact reader finds out
            pass
        try:
            return kind.exact(document, "$")  # type: ignore[no-any-return]  # likewise
        except Exception:  # noqa: BLE001  # it is nested without end
            return BadValue("$", "fewer levels")

    def kind(self, record: type[Any]) -> Kind:
        """Return how a record is read; made when it is asked for the first time.

        Raises:
            TypeError: it has a field of a type that is never read.

        """
        found = self._kinds.get(record)
        if found is None:
            # Two threads may both do it, and neither sees what the other has half made.
            found = self._kinds[record] = _Making(self._spell).kind(record)
        return found

    def secret_fields(self, record: type) -> tuple[str, ...]:
        """Return the JSON names of the fields that hold a secret, at any depth of *record*."""
        return tuple(dict.fromkeys(_secret_fields(self.kind(record), set())))

    def secret_in(self, record: type, document: object) -> str | None:
        """Return the secret that stands where *record* has one, whatever else is wrong with it."""
        return next(_secrets_in(self.kind(record), document), None)


def as_spelt(field: str) -> str:
    """Return *field* as it is: the JSON has snake_case too."""
    return field


def camel_case(field: str) -> str:
    """Return *field* in camelCase: ``created_at`` is ``createdAt``."""
    first, *others = field.split("_")
    return first + "".join(other.capitalize() for other in others)


@attrs.frozen
class _Field:
    """A field of a record.

    Attributes:
        name: in the JSON.
        attribute: of the record.
        argument: of its constructor.
        default: what it is if it is absent.
    """

    name: str
    attribute: str
    argument: str
    default: Any
    kind: Kind


class _Making:
    """Makes the kind of a record, and of all that is in it."""

    def __init__(self, spell: Callable[[str], str]) -> None:
        self._spell = spell
        self._records: dict[type, Kind] = {}

    def kind(self, wanted: Any) -> Kind:
        """Return how values of a type are read."""
        if wanted in kinds.SCALARS:
            return kinds.SCALARS[wanted]
        if isinstance(wanted, type) and attrs.has(wanted):
            return self._records.get(wanted) or self._record(wanted)
        if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
            return kinds.enumeration(wanted)
        if isinstance(wanted, NewType):
            return self.kind(wanted.__supertype__)
        if hasattr(wanted, "__value__"):  # type X = ...
            return self.kind(wanted.__value__)
        return self._composed(wanted)

    def _composed(self, wanted: Any) -> Kind:
        match get_origin(wanted), get_args(wanted):
            case (origin, (inner, *_)) if origin is Annotated:
                return self.kind(inner)
            case (origin, values) if origin is Literal:
                return kinds.literal(values)
            case (origin, inner) if origin in {Union, UnionType}:
                return self._union(inner)
            case (origin, (item, *rest)) if origin is tuple and rest == [...]:
                return kinds.array(self.kind(item), tuple)
            case (origin, (item,)) if origin in {list, Sequence}:
                return kinds.array(self.kind(item), list if origin is list else tuple)
            case (origin, (name, item)) if origin in {dict, Mapping} and name is str:
                return kinds.table(self.kind(item))
        raise TypeError(
            f"no JSON is read as {wanted!r}: see agentkeys.transport.reading.convert.Reader"
        )

    def _union(self, inner: tuple[Any, ...]) -> Kind:
        choices = tuple(self.kind(each) for each in inner if each is not NoneType)
        kind = choices[0] if len(choices) == 1 else kinds.choice(choices)
        return kinds.nullable(kind) if NoneType in inner else kind

    def _record(self, record: Any) -> Kind:
        fields: list[_Field] = []
        parts: list[tuple[str, Kind]] = []
        exact = partial(_exactly, record, fields)
        # For fields of its own type; its quick reader comes last.
        self._records[record] = Kind("an object", "objects", exact, kinds.usual(exact), parts=parts)
        for field in attrs.fields(attrs.resolve_types(record)):
            if field.init:
                name, kind = self._spell(field.name), self.kind(field.type)
                alias = field.alias or field.name
                fields.append(_Field(name, field.name, alias, field.default, kind))
                parts.append((name, kind))
        quick = _generated(record, fields) or kinds.usual(exact)
        return Kind("an object", "objects", exact, quick, parts=parts)


def _exactly(record: Any, fields: list[_Field], value: object, json_path: str) -> Any:
    if type(value) is not dict:
        return BadValue(json_path, "an object")
    arguments = {}
    for field in fields:
        where = f"{json_path}.{field.name}"
        if field.name in value:
            found = field.kind.exact(value[field.name], where)
            if isinstance(found, BadValue):
                return found
            arguments[field.argument] = found
        elif field.default is attrs.NOTHING:
            return BadValue(where, f"{field.kind.words}, and it is missing")
    try:
        return record(**arguments)
    except (TypeError, ValueError):  # a validator of the record's own
        return BadValue(json_path, f"what {record.__name__} can be")


def _generated(record: Any, fields: list[_Field]) -> Callable[[Any], Any] | None:
    """Return the quick reader of a record; None if it cannot be generated."""
    if any(getattr(field.default, "takes_self", False) for field in fields):
        return None
    names: dict[str, Any] = {**kinds.NAMES, "record": record, "new": object.__new__}
    values = [_value(n, field, names) for n, field in enumerate(fields)]
    if _only_sets_slots(record):
        names |= {
            f"set_{n}": getattr(record, field.attribute).__set__ for n, field in enumerate(fields)
        }
        made = "".join(f"    set_{n}(made, {value})\n" for n, value in enumerate(values))
        made = f"    made = new(record)\n{made}    return made\n"
    else:
        arguments = [f"{field.argument}={it}" for field, it in zip(fields, values, strict=True)]
        made = f"    return record({', '.join(arguments)})\n"
    source = f"def read(o):\n    if type(o) is not dict:\n        unusual()\n{made}"
    # All of it is ours: the names of fields are in it as literals, and no value is.
    exec(compile(source, f"<reader of {record.__name__}>", "exec"), names)  # noqa: S102
    return names["read"]  # type: ignore[no-any-return]  # it is what the source defines


def _only_sets_slots(record: Any) -> bool:
    """Whether a record's constructor does no more than to set slots, which is quicker without."""
    more = ("__attrs_init__", "__attrs_pre_init__", "__attrs_post_init__", "_attrs_cached_hash")
    return (
        record.__new__ is object.__new__
        and not any(hasattr(record, name) for name in more)
        and all(
            field.init
            and field.validator is None
            and field.converter is None
            and isinstance(getattr(record, field.name, None), MemberDescriptorType)
            for field in attrs.fields(record)
        )
    )


def _value(n: int, field: _Field, names: dict[str, Any]) -> str:
    """Return the expression that reads a field, and add to *names* what it needs."""
    name = repr(field.name)
    value = f"o[{name}]"
    if field.kind.source:
        source = field.kind.source.format(f"(v := {value})")
    else:
        names[f"read_{n}"] = field.kind.quick
        source = f"read_{n}({value})"
    if field.default is not attrs.NOTHING:
        is_factory = isinstance(field.default, attrs.Factory)  # type: ignore[arg-type]  # a class
        names[f"default_{n}"] = field.default.factory if is_factory else field.default
        source = f"default_{n}{'()' * is_factory} if {name} not in o else {source}"
    return source


def _is_secret(kind: Kind) -> bool:
    return kind is kinds.SCALARS[Secret] or any(
        not name and _is_secret(part) for name, part in kind.parts
    )


def _secret_fields(kind: Kind, seen: set[int]) -> Iterator[str]:
    if id(kind.parts) in seen:
        return
    seen.add(id(kind.parts))
    for name, part in kind.parts:
        if name and _is_secret(part):
            yield name
        yield from _secret_fields(part, seen)


def _secrets_in(kind: Kind, value: object) -> Iterator[str]:
    if kind is kinds.SCALARS[Secret] and isinstance(value, str) and value:
        yield value
    for name, part in kind.parts:
        for each in _inside(name, value):
            yield from _secrets_in(part, each)


def _inside(name: str, value: object) -> Iterable[object]:
    """Return what may be of a part's kind: a record's field, or what is in an array or object."""
    match value:
        case dict() if name:
            return [value[name]] if name in value else []
        case dict():
            return [value, *value.values()]
        case list() if not name:
            return value
    return [] if name else [value]
