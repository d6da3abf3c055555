"""The value of a subclass of str or int: the one door through which one becomes a plain one.

A member of ``class Inbox(str, Enum)`` prints as ``Inbox.SUPPORT``, and other subclasses may answer
any method as they like. Whatever is checked, compared or sent is taken by its value.
"""

from __future__ import annotations

__all__ = ["number", "text"]


def text(value: str) -> str:
    """Return the characters that *value* is made of."""
    return value if type(value) is str else str.__str__(value)


def number(value: int) -> int:
    """Return the integer that *value* is."""
    return value if type(value) is int else int.__int__(value)
