"""What a plain value is, for whoever checks one."""

from __future__ import annotations

from typing import TypeGuard


def is_whole(given: object) -> TypeGuard[int]:
    """Tell whether *given* is a whole number; True and False are none."""
    return isinstance(given, int) and not isinstance(given, bool)


def is_storable(text: str) -> bool:
    """Tell whether *text* is Unicode that every database can keep: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
