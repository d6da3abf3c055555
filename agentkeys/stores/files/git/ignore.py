"""Whether the patterns of a .gitignore match a path. Pure. The rules are those of gitignore(5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Pattern", "parse", "verdict"]

_ANY: Final = None
"""In a pattern: ``**``, any number of folders."""

_TOKEN: Final = re.compile(
    r"""
    \\(?P<escaped>.)
    | (?P<star>\*+)
    | (?P<one>\?)
    | \[(?P<not>[!^]?)(?P<class>\]?(?:\[:[a-z]+:\]|\\.|[^]\\])*)\]
    | (?P<bad>[\\[])
    | (?P<plain>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_MEMBER: Final = re.compile(
    r"\[:(?P<posix>[a-z]+):\]|(?P<from>\\.|.)(?:-(?P<to>\\.|[^]\\]))?", re.DOTALL
)
_POSIX: Final = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


@attrs.frozen
class Pattern:
    """A line of a .gitignore.

    Args:
        parts: what matches each part of a path; None for any number of folders.
        negated: whether it reverses an earlier line.
        folders_only: whether it matches folders only.
        anywhere: whether it matches the last part of a path in any folder.
    """

    parts: tuple[re.Pattern[str] | None, ...]
    negated: bool
    folders_only: bool
    anywhere: bool

    def matches(self, path: Sequence[str], *, is_folder: bool) -> bool:
        """Return whether the pattern matches *path*, relative to the pattern's own folder."""
        if self.folders_only and not is_folder:
            return False
        return self._is(path[-1:] if self.anywhere else path)

    def _is(self, path: Sequence[str]) -> bool:
        # The positions in the path that the pattern may have reached, so that no path takes long.
        places = {0}
        for number, part in enumerate(self.parts):
            if part is not _ANY:
                places = {at + 1 for at in places if at < len(path) and part.fullmatch(path[at])}
            elif places:
                is_last = number == len(self.parts) - 1  # it matches the content of a folder
                places = set(range(min(places) + is_last, len(path) + 1))
        return len(path) in places


def parse(text: str) -> list[Pattern]:
    """Return the patterns of a file."""
    found = (_pattern(line.removesuffix("\r")) for line in text.removeprefix("\ufeff").split("\n"))
    return [pattern for pattern in found if pattern is not None]


def verdict(patterns: Sequence[Pattern], path: Sequence[str], *, is_folder: bool) -> bool | None:
    """Return whether *path* is ignored, or None if no pattern matches. The last match counts.

    A path in an ignored folder is ignored; the caller checks the folders first.
    """
    for pattern in reversed(patterns):
        if pattern.matches(path, is_folder=is_folder):
            return not pattern.negated
    return None


def _pattern(line: str) -> Pattern | None:
    line = re.sub(r"(?<!\\) +\Z", "", line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line.removeprefix("!")
    folders_only = line.endswith("/")
    line = line.removesuffix("/")
    anywhere = "/" not in line
    try:
        parts = tuple(_part(part, anywhere=anywhere) for part in line.removeprefix("/").split("/"))
    except re.error:  # as in git, where such a pattern matches nothing
        return None
    return Pattern(parts, negated, folders_only, anywhere) if line else None


def _part(part: str, *, anywhere: bool) -> re.Pattern[str] | None:
    if part == "**" and not anywhere:
        return _ANY
    pieces = [""]
    for token in _TOKEN.finditer(part):
        if token["star"]:
            pieces.append("")
        else:
            pieces[-1] += _expression(token)
    first, *others = pieces
    if not others:
        return re.compile(first, re.DOTALL)
    # The text between two stars is searched for once only, so that no pattern takes long.
    *middle, last = others
    between = "".join(f"(?>.*?{piece})" for piece in middle)
    return re.compile(f"{first}{between}.*{last}", re.DOTALL)


def _expression(token: re.Match[str]) -> str:
    if token["bad"]:
        raise re.error("it is not closed")
    if token["one"]:
        return "."
    if token["class"] is not None:
        members = "".join(map(_member, _MEMBER.finditer(token["class"])))
        return f"[{'^' if token['not'] else ''}{members}]"
    return re.escape(token["escaped"] or token["plain"])


def _member(member: re.Match[str]) -> str:
    if member["posix"]:
        if member["posix"] not in _POSIX:
            raise re.error("no such class")
        return _POSIX[member["posix"]]
    ends = [re.escape(end[-1]) for end in (member["from"], member["to"]) if end]
    return "-".join(ends)
