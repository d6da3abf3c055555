"""How names from outside are shown in a text."""

from __future__ import annotations

__all__ = ["shown"]


def shown(path: object) -> str:
    """Return a path for a text, without characters that a terminal would obey."""
    text = str(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
