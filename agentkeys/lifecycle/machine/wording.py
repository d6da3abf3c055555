"""How what others have named is shown in a sentence."""

from __future__ import annotations

__all__ = ["shown"]


def shown(path: object) -> str:
    """Return a path for a sentence: whoever named the file, no terminal obeys what it says."""
    text = str(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
