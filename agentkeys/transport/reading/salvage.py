"""Find the secret of a new key in an answer that cannot be read as a whole."""

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

# Bytes of a piece that is parsed as JSON: to reject a long one, orjson needs twelve times its size.
_LONGEST: Final = 65536


def salvaged(body: bytes, record: type, reader: Reader, *, is_whole: bool) -> Secret | None:
    """Return the secret that *body* holds for a *record*, or None.

    The search goes from the field where the record has its secret, over fields of that name, the
    least deep first and in any spelling, to text with the form of a service's keys.
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
    """Yield the values where *kind* has a secret, even if the rest of *value* is invalid."""
    if kind is Secret and isinstance(value, str) and value:
        yield value
    for name, part in parts(kind):
        for each in _within(name and spell(name), value):
            yield from _secrets_in(part, spell, each)


def _within(name: str, value: object) -> Iterable[object]:
    """Return the values of a type's part: a record's field, or the items of a container."""
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
    """Yield the strings in *value*: itself, or the items of an array."""
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and each:
            yield each


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").casefold()


def _literal(text: bytes) -> Any:
    try:  # what breaks the JSON may be in the secret
        return json.loads(text.decode(errors="replace"), strict=False)
    except ValueError:
        return None


def _loaded(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError:
        return None
