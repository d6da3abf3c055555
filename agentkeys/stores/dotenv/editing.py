"""Change one entry of a dotenv file, and no byte of the others. Pure.

Texts are `Secret`, because they hold other secrets too. A text that python-dotenv would read in
another way than intended is not written.
"""

from __future__ import annotations

import io
import re
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dotenv.parser import Binding

_BOM: Final = "\ufeff"
_BLANK: Final = r"[^\S\r\n]"
_STATEMENT: Final = re.compile(
    rf"""
    (?P<head> {_BLANK}* (?:export{_BLANK}+)? (?:'[^']+'|[^=\#\s]+) )
    (?:
      (?P<sign> {_BLANK}*={_BLANK}* )
      (?P<value>
        (?P<quoted> '(?:\\.|[^'\\])*' | "(?:\\.|[^"\\])*" )
        | (?!['"]) (?:(?<==)|(?!\#)) [^\r\n]*?
      )
    )?
    (?P<tail> (?: (?(quoted){_BLANK}*|{_BLANK}+) \#[^\r\n]* )? {_BLANK}* (?:\r\n|\n|\r|$) )
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,=~^-]+")
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})


class _Place(NamedTuple):
    """The position of an entry in a text, from the start of its line; and its quotes."""

    start: int
    end: int
    quote: str


def values(text: Secret, name: str) -> list[Secret]:
    """Return the values of *name* in *text*, one for each entry; "" for a missing value."""
    return [Secret(each.value or "") for each in _as_read(text) if each.key == name]


def with_entry(text: Secret, name: str, value: Secret) -> Secret | None:
    """Return *text* with *name* set to *value*, or None if it would be read in another way."""
    if "\0" in value.reveal():  # no environment variable can hold it
        return None
    place = _place(text, name)
    for literal in _literals(value, place.quote if place else ""):
        if _meant(name, literal) == value:
            edited = _set(text, place, name, literal)
            if values(edited, name) == [value]:
                return edited
    return None


def without_entry(text: Secret, name: str) -> Secret:
    """Return *text* without the line of *name*; other entries keep their values."""
    place = _place(text, name)
    return _spliced(text, place, Secret("")) if place else text


def _set(text: Secret, place: _Place | None, name: str, literal: Secret) -> Secret:
    if place is None:
        return _appended(text, name, literal)
    parts = _STATEMENT.fullmatch(text.reveal(), place.start, place.end)
    if parts is None:  # an older python-dotenv reads unusual quotes in another way
        statement = f"{name}={literal.reveal()}{_line_end(text)}"
    else:
        statement = f"{parts['head']}{parts['sign'] or '='}{literal.reveal()}{parts['tail']}"
    return _spliced(text, place, Secret(statement))


def _spliced(text: Secret, place: _Place, statement: Secret) -> Secret:
    before, after = text.reveal()[: place.start], text.reveal()[place.end :]
    return Secret(f"{before}{statement.reveal()}{after}")


def _appended(text: Secret, name: str, literal: Secret) -> Secret:
    end = _line_end(text)
    ended = text.reveal().removeprefix(_BOM)[-1:] in {"", "\n", "\r"}
    return Secret(f"{text.reveal()}{'' if ended else end}{name}={literal.reveal()}{end}")


def _line_end(text: Secret) -> str:
    first = _LINE_END.search(text.reveal())
    return first[0] if first else "\n"


def _place(text: Secret, name: str) -> _Place | None:
    end = len(_bom(text))
    for each in parse_stream(io.StringIO(text.reveal()[end:], newline="")):
        start, end = end, end + len(each.original.string)
        if each.key == name:
            # python-dotenv counts the blank lines before a statement as its part.
            space = re.match(r"(?:\s*[\r\n])?", each.original.string)
            start += len(space[0]) if space else 0
            return _Place(start, end, _quote(text, start, end))
    return None


def _quote(text: Secret, start: int, end: int) -> str:
    parts = _STATEMENT.fullmatch(text.reveal(), start, end)
    return (parts["quoted"] or "")[:1] if parts else ""


def _literals(value: Secret, quote: str) -> Iterator[Secret]:
    """Yield *value* in all forms of quoting; the current entry's form comes first."""
    ways = {"": _plain(value), "'": [_single(value)], '"': [_double(value)]}
    return chain.from_iterable(ways[way] for way in sorted(ways, key=lambda way: way != quote))


def _plain(value: Secret) -> list[Secret]:
    return [value] if _PLAIN.fullmatch(value.reveal()) else []


def _single(value: Secret) -> Secret:
    escaped = value.reveal().replace("\\", r"\\").replace("'", r"\'")
    return Secret(f"'{escaped}'")


def _double(value: Secret) -> Secret:
    return Secret(f'"{value.reveal().translate(_ESCAPES)}"')


def _meant(name: str, literal: Secret) -> Secret:
    """Return the value for a program that lets python-dotenv expand ``${...}``, its default."""
    line = io.StringIO(_universal(f"{name}={literal.reveal()}\n"))
    return Secret(dotenv_values(stream=line).get(name) or "")


def _as_read(text: Secret) -> Iterator[Binding]:
    """Return the bindings that a program reads when it opens the file as text."""
    return parse_stream(io.StringIO(_universal(text.reveal())))


def _bom(text: Secret) -> str:
    return _BOM if text.reveal().startswith(_BOM) else ""


def _universal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
