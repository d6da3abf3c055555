"""Texts with columns of a row in braces, like ``agent-{inbox}``; ``{{`` stands for a brace."""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING, Final

import attrs

from agentkeys.fleet.manifest.mistakes import ExpectedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Template"]

_UNSAFE: Final = re.compile(r"[\s/#?:%'\"\\]")
"""What would give an address another place, or a program another argument."""


@attrs.frozen
class Template:
    """A text that is filled with the columns of a row.

    Attributes:
        parts: pieces of text, each with the column that follows, if one does.
    """

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def of(cls, text: str, columns: Collection[str]) -> Template:
        """Return the template that *text* is, for rows that have these columns.

        Raises:
            ExpectedError: it is none, or needs another column.

        """
        try:
            parsed = [*Formatter().parse(text)]
        except ValueError:
            raise ExpectedError("has a brace that is not closed; {{ stands for a brace") from None
        for _, column, spec, conversion in parsed:
            if column is None:
                continue
            if spec or conversion:
                raise ExpectedError(f"may name a column in braces, and nothing more: {{{column}}}")
            if column not in columns:
                known = ", ".join(map(repr, columns))
                raise ExpectedError(f"needs the column {column!r}, and there are {known}")
        return cls(tuple((literal, column) for literal, column, *_ in parsed))

    def filled(self, row: Mapping[str, str]) -> str:
        """Return the text of a row."""
        return "".join(
            literal if column is None else f"{literal}{row[column]}"
            for literal, column in self.parts
        )

    def address(self, row: Mapping[str, str]) -> str:
        """Return the text of a row, of which no value leads elsewhere in the address of a store.

        Raises:
            ExpectedError: one would.

        """
        text = self.filled(row)
        is_whole = len(self.parts) == 1 and self.parts[0][0] == ""
        if is_whole and text.startswith("command:"):
            raise ExpectedError("is a program, and no row may say which program runs")
        for _, column in () if is_whole else self.parts:
            if column is not None and (_UNSAFE.search(row[column]) or row[column] in {".", ".."}):
                raise ExpectedError(
                    f"cannot take the value of the column {column!r}, which has white space, a"
                    " quote or one of / # ? : % \\ in it: write another column for it"
                )
        return text
