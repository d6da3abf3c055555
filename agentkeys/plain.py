"""Turn a subclass of str or int into a plain str or int, and a text into a printable one.

A member of ``class Inbox(str, Enum)`` prints as ``Inbox.SUPPORT``, and other subclasses may
override any method. So values are converted before they are checked, compared or sent.
"""

from __future__ import annotations

__all__ = ["number", "shown", "text"]


def text(value: str) -> str:
    """Return *value* as a plain str."""
    return value if type(value) is str else str.__str__(value)


def number(value: int) -> int:
    """Return *value* as a plain int."""
    return value if type(value) is int else int.__int__(value)


def shown(path: object) -> str:
    """Return a path for a text, without characters that a terminal would obey."""
    text = str(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
