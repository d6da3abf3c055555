"""In which line of a TOML file a table or a field stands, which tomllib does not say."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["line_of", "lines_of"]


def lines_of(text: str) -> Mapping[tuple[str, ...], int]:
    """Return the line of each table and field of a document that tomllib has read."""
    table: tuple[str, ...] = ()
    lines: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = _path(stripped) or table
            for depth in range(1, len(table) + 1):
                lines.setdefault(table[:depth], number)
        elif "=" in stripped:
            field = _path(f"{stripped.partition('=')[0]} = 0")
            if field:
                lines.setdefault(table + field, number)
    return lines


def line_of(lines: Mapping[tuple[str, ...], int], *path: str) -> int:
    """Return the line of a table or a field, or of what it is in."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 0)


def _path(line: str) -> tuple[str, ...]:
    """Return the names that lead to what a line of TOML declares."""
    try:
        found: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:  # a part of a value of several lines
        return ()
    path: list[str] = []
    while isinstance(found, dict) and found:
        name, found = next(iter(found.items()))
        path.append(name)
    return tuple(path)
