"""Mistakes in a file: which file, which line, what is wrong, and what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from agentkeys.errors import ManifestError
from agentkeys.plain import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST", "ExpectedError", "Mistake", "failure"]

MOST: Final = 20
"""More mistakes than that are not searched for: they are likely to be one mistake."""


class ExpectedError(Exception):
    """A value is not what is expected. The text is the rest of a sentence."""


@attrs.frozen
class Mistake:
    """A mistake.

    Attributes:
        file: the file that it is in.
        line: the line in that file; 0 if that is not known.
        sentence: what is wrong, and what is expected. It holds no value of the file.
    """

    file: str
    line: int
    sentence: str

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{shown(self.file)}{line}: {shown(self.sentence)}"


def failure(mistakes: Sequence[Mistake]) -> ManifestError:
    """Return the error that lists mistakes."""
    first = mistakes[0]
    sentences = tuple(map(str, mistakes))
    return ManifestError("\n".join(sentences), file=first.file, line=first.line, mistakes=sentences)
