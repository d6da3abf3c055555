"""Finding the secret of a new key in an answer that cannot be read as a whole."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from agentkeys.secret import KEY_PREFIX, Secret
from agentkeys.transport.json import loads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.transport.convert import Reader

__all__ = ["salvaged"]

_LIKE_A_NEW_KEY: Final = re.compile(rb'"(%s[A-Za-z0-9]+)"' % KEY_PREFIX.encode())
# Bytes of a piece that is read as JSON: to refuse a long one, orjson takes twelve times as many.
_LONGEST: Final = 65536


def salvaged(body: bytes, record: type, reader: Reader, *, is_whole: bool) -> Secret | None:
    """Return the secret that *body* holds for a *record*, or None.

    It is taken from where the record has it; else from a field of its name, the nearest one first,
    also if the name is spelt another way; else it is what looks like a key of a service of ours.
    """
    fields = frozenset(map(_folded, reader.secret_fields(record)))
    if not fields:
        return None
    document = _loaded(body) if is_whole else None
    found = reader.secret_in(record, document)
    if found is None:
        candidates = _in_text(body, fields) if document is None else _in_document(document, fields)
        found = next(candidates, None)
    if found is not None:
        return Secret(found)
    bare = _LIKE_A_NEW_KEY.search(body)
    return Secret(bare[1].decode()) if bare else None


def _in_document(document: object, fields: frozenset[str]) -> Iterator[str]:
    waiting = deque([document])
    while waiting:
        value = waiting.popleft()
        if isinstance(value, str) and len(value) <= _LONGEST and "{" in value:
            value = _loaded(value.encode())  # JSON in a string of JSON
        if isinstance(value, dict):
            for name, inner in value.items():
                if _folded(name) in fields:
                    yield from _texts(inner)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _in_text(body: bytes, fields: frozenset[str]) -> Iterator[str]:
    names = "|".join("[_-]?".join(map(re.escape, field)) for field in fields)
    field = rb'"(?:%s)"\s*+:\s*+\[?+\s*+("(?:[^"\\]++|\\.)*+")' % names.encode()
    for found in re.finditer(field, body, re.IGNORECASE | re.DOTALL):
        if len(found[1]) <= _LONGEST:
            yield from _texts(_loaded(found[1]))


def _texts(value: object) -> Iterator[str]:
    """Give what is a text, alone or in an array."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each:
            yield each


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _loaded(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError:
        return None
