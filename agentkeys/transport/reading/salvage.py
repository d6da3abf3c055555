"""Finding the secret of a new key in an answer that cannot be read as a whole."""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from agentkeys.masking import key_in
from agentkeys.secret import Secret
from agentkeys.transport.reading.json import loads
from agentkeys.transport.reading.kinds import inside, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agentkeys.transport.reading.convert import Reader

    Spell: TypeAlias = Callable[[str], str]

__all__ = ["salvaged"]

# Bytes of a piece that is read as JSON: to refuse a long one, orjson takes twelve times as many.
_LONGEST: Final = 65536


def salvaged(body: bytes, record: type, reader: Reader, *, is_whole: bool) -> Secret | None:
    """Return the secret that *body* holds for a *record*, or None.

    It is taken from where the record has it; else from a field of its name, the nearest one first,
    also if the name is spelt another way; else it is what looks like a key of a service of ours.
    """
    fields = frozenset(
        _folded(reader.spell(name))
        for kind in inside(record)
        for name, part in parts(kind)
        if name and _is_secret(part)
    )
    if not fields:
        return None
    document = _loaded(body) if is_whole else None
    found = next(_secrets_in(record, reader.spell, document), None)
    if found is None:
        candidates = _in_text(body, fields) if document is None else _in_document(document, fields)
        found = next(candidates, None)
    if found is not None:
        return Secret(found)
    return Secret(key_in(body.decode(errors="replace")) or "") or None


def _is_secret(kind: Any) -> bool:
    return kind is Secret or any(not name and _is_secret(part) for name, part in parts(kind))


def _secrets_in(kind: Any, spell: Spell, value: object) -> Iterator[str]:
    """Give what stands where *kind* has a secret, whatever else is wrong with it."""
    if kind is Secret and isinstance(value, str) and value:
        yield value
    for name, part in parts(kind):
        for each in _within(name and spell(name), value):
            yield from _secrets_in(part, spell, each)


def _within(name: str, value: object) -> Iterable[object]:
    """Return what may be of a part's kind: a record's field, or what is in an array or object."""
    match value:
        case dict() if name:
            return [value[name]] if name in value else []
        case dict():
            return [value, *value.values()]
        case list() if not name:
            return value
    return [] if name else [value]


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
            yield from _texts(_literal(found[1]))


def _texts(value: object) -> Iterator[str]:
    """Give what is a text, alone or in an array."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each:
            yield each


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _literal(text: bytes) -> Any:
    try:  # what makes the answer no JSON may be in the secret itself
        return json.loads(text.decode(errors="replace"), strict=False)
    except ValueError:
        return None


def _loaded(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError:
        return None
