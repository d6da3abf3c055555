"""Choose keys from those that a service lists."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from agentkeys.keys import Key

__all__ = ["ORDERS", "Criteria", "chosen", "missing", "shared"]

KeyT = TypeVar("KeyT", bound="Key[Any]")

_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_ORDERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "id": lambda key: key.id,
    "name": lambda key: key.name,
    "created": lambda key: key.created_at,
    "used": lambda key: getattr(key, "used_at", None) or _NEVER,
}
ORDERS: Final = tuple(sign + order for order in _ORDERS for sign in ("", "-"))
"""The fields to sort by; ``-`` reverses the order."""


@dataclass(frozen=True)
class Criteria:
    """The criteria that chosen keys must fulfil, all of them.

    Attributes:
        ids: ids of keys.
        words: ids, or names; a word that is the id of a key is not a name.
        names: patterns as in a shell, of which one must match the name.
        older_than: seconds since the key was created.
        unused_for: seconds since the key was last used, or was created if it never was.
        sort: one of `ORDERS`; None for the order of the service.
        limit: the largest number of keys.
    """

    ids: tuple[Any, ...] = ()
    words: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    older_than: float | None = None
    unused_for: float | None = None
    sort: str | None = None
    limit: int | None = None

    @property
    def narrows(self) -> bool:
        """Whether there is a criterion besides ids and words."""
        return bool(self.names) or self.older_than is not None or self.unused_for is not None

    @property
    def is_plain(self) -> bool:
        """Whether there are only ids and words."""
        return not (self.narrows or self.sort or self.limit)

    @property
    def needs_all(self) -> bool:
        """Whether all keys must be listed before the first one can be chosen."""
        return bool(self.ids or self.words or self.sort)

    def admits(self, key: Key[Any], now: datetime) -> bool:
        """Whether the name and the age of *key* fulfil the criteria."""
        used = getattr(key, "used_at", None) or key.created_at
        return (
            (not self.names or any(fnmatchcase(key.name, name) for name in self.names))
            and _is_past(key.created_at, self.older_than, now)
            and _is_past(used, self.unused_for, now)
        )


def chosen(keys: Sequence[KeyT], criteria: Criteria, now: datetime) -> list[KeyT]:
    """Return the listed keys that fulfil *criteria*."""
    meant = [key for key in _meant(keys, criteria) if criteria.admits(key, now)]
    if criteria.sort:
        meant.sort(key=_ORDERS[criteria.sort.lstrip("-")], reverse=criteria.sort.startswith("-"))
    return meant[: criteria.limit]


def missing(keys: Collection[Key[Any]], criteria: Criteria) -> list[Any]:
    """Return the ids and words without a key."""
    ids = {key.id for key in keys}
    known = {str(key_id) for key_id in ids} | {key.name for key in keys}
    lost = [key_id for key_id in criteria.ids if key_id not in ids]
    return [*lost, *(word for word in criteria.words if word not in known)]


def shared(keys: Collection[Key[Any]], words: Collection[str]) -> dict[str, list[Any]]:
    """Return the ids of the keys for each of *words* that several keys have as their name."""
    named = _as_names(keys, words)
    counts = Counter(key.name for key in keys if key.name in named)
    several = [name for name, count in counts.items() if count > 1]
    return {name: [key.id for key in keys if key.name == name] for name in several}


def _meant(keys: Sequence[KeyT], criteria: Criteria) -> Sequence[KeyT]:
    if not (criteria.ids or criteria.words):
        return keys
    ids, words = set(criteria.ids), set(criteria.words)
    named = _as_names(keys, words)
    return [key for key in keys if key.id in ids or str(key.id) in words or key.name in named]


def _as_names(keys: Collection[Key[Any]], words: Collection[str]) -> set[str]:
    return set(words) - {str(key.id) for key in keys}


def _is_past(moment: datetime, seconds: float | None, now: datetime) -> bool:
    return seconds is None or now - moment >= timedelta(seconds=seconds)
