"""The base class of records: they become JSON, a dict or a table, and never show a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, SupportsIndex, TypeVar

import attrs

from agentkeys.secret import Secret

__all__ = ["Collected", "Record", "as_json", "id_of_request"]

T = TypeVar("T")


def id_of_request() -> Any:
    """Return the field of a record that says by which request it came.

    No service sends it with the record, so it counts neither for equality nor as data.
    """
    return attrs.field(init=False, default=None, eq=False, repr=False)


class Record(Mapping[str, Any]):
    """The base class of a service's records, and of the results of functions.

    ``key.to_dict()`` returns JSON types. ``dict(key)`` and ``key["name"]`` return the values
    unchanged. None of them returns a secret. A notebook shows a record as a table.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, with JSON types: times in ISO 8601, and no secret."""
        return {name: as_json(value) for name, value in self.items()}

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the fields that are not secrets."""
        for field in attrs.fields(type(self)):  # type: ignore[arg-type]  # each record is an attrs class
            if field.init and not isinstance(getattr(self, field.name), Secret):
                yield field.name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Any:
        if name in tuple(self):
            return getattr(self, name)
        raise KeyError(name)

    def _repr_html_(self) -> str:
        from agentkeys import notebook

        return notebook.table([self], notebook.now())


class Collected(list[T]):
    """A list that notebooks show as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from agentkeys import notebook

        return notebook.table(self, notebook.now())

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[list[T]], tuple[list[T]]]:
        return list, ([*self],)


def as_json(value: Any) -> Any:
    """Return a value with JSON types; a secret is masked."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat()
        case Mapping():
            return {str(name): as_json(each) for name, each in value.items()}
        case Iterable():
            return [as_json(each) for each in value]
    if attrs.has(type(value)):
        return {each.name: as_json(getattr(value, each.name)) for each in attrs.fields(type(value))}
    return str(value)
