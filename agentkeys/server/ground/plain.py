"""Checks of plain values."""

from __future__ import annotations

from typing import TypeGuard


def is_whole(given: object) -> TypeGuard[int]:
    """Return whether *given* is an int; True and False are not."""
    return isinstance(given, int) and not isinstance(given, bool)


def is_storable(text: str) -> bool:
    """Return whether every database can store *text*: no NUL, no lone surrogate."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
