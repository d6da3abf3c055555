"""Reads `agentkeys.toml`: checks its tables at once, and fills their templates row by row."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

import agentkeys.agentity
import agentkeys.agentry  # noqa: F401  # both say what their keys look like, for `has_a_secret`
from agentkeys.fleet.manifest import rows
from agentkeys.fleet.manifest.declared import Account
from agentkeys.fleet.manifest.filling import Filler
from agentkeys.fleet.manifest.lines import line_of, lines_of
from agentkeys.fleet.manifest.mistakes import MOST, ExpectedError, Mistake, failure
from agentkeys.fleet.manifest.secrecy import SENTENCE, has_a_secret
from agentkeys.fleet.manifest.tables import DEFAULTS, FIELDS, KeyTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.fleet.manifest.declared import Declared

__all__ = ["Manifest", "read"]

_PARTS: Final = ("defaults", "keys")
_LARGEST: Final = 1 << 20  # characters; many keys come from a file of rows


@attrs.frozen
class Manifest:
    """A file that declares keys, whose tables have no mistakes.

    Attributes:
        path: the file.
        tables: its tables, in their order.
    """

    path: str
    tables: tuple[KeyTable, ...]
    _lines: Mapping[tuple[str, ...], int] = attrs.field(repr=False, eq=False)

    @property
    def folder(self) -> str:
        """The folder of the file; relative paths in the file begin there."""
        return os.path.dirname(os.path.abspath(self.path))  # noqa: PTH100, PTH120

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Whose keys the tables are about, even if there is no row for one of them."""
        return (*dict.fromkeys(Account(each.service, each.profile) for each in self.tables),)

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of its files of rows."""
        sources = (each.source for each in self.tables if each.source is not None)
        return tuple(rows.path_of(each, self.folder) for each in sources if not rows.is_query(each))

    @property
    def has_queries(self) -> bool:
        """Whether rows come from a query."""
        return any(each.source is not None and rows.is_query(each.source) for each in self.tables)

    def declared(self) -> Iterator[Declared | Mistake]:
        """Yield each key that is declared, or what is wrong with it. No more than one is held."""
        for table in self.tables:
            filler = Filler(table, self.path, self.folder, self._line_of(table))
            yield from filler.one() if table.source is None else filler.each()

    def _line_of(self, table: KeyTable) -> Mapping[str, int]:
        names = ("", *FIELDS)
        return {
            name: line_of(self._lines, "keys", table.title, *([name] if name else []))
            for name in names
        }


def read(path: str | os.PathLike[str]) -> Manifest:
    """Read a file that declares keys. The rows of its tables are not read yet.

    Raises:
        ManifestError: it cannot be read, or has mistakes.

    """
    # Raised here, where no name is bound to what the file holds: there may be a secret in it.
    found = _read(os.fspath(path))
    if isinstance(found, Manifest):
        return found
    raise failure(found)


def _read(name: str) -> Manifest | list[Mistake]:
    text = _text_of(name)
    if isinstance(text, Mistake):
        return [text]
    document = _document(name, text)
    if isinstance(document, list):
        return document
    lines = lines_of(text)
    mistakes = [
        Mistake(name, line_of(lines, *where), sentence) for where, sentence in _objections(document)
    ]
    if mistakes:
        return sorted(mistakes, key=lambda each: each.line)[:MOST]
    defaults = _converted(document.get("defaults", {}))
    tables = tuple(
        KeyTable(title, **{**defaults, **_converted(table)})
        for title, table in document.get("keys", {}).items()
    )
    mistakes = [
        Mistake(name, line_of(lines, "keys", table.title, *field), sentence)
        for table in tables
        for field, sentence in _contradictions(table)
    ]
    return mistakes[:MOST] or Manifest(name, tables, lines)


def _text_of(name: str) -> str | Mistake:
    try:
        with rows.trusted(name) as file:
            text = file.read(_LARGEST + 1).replace("\r\n", "\n")
    except ExpectedError as error:
        sentence = f"the file {error}"
    except UnicodeDecodeError:
        sentence = "the file cannot be read: it is not UTF-8"
    else:
        if len(text) <= _LARGEST:
            return text
        sentence = "the file is longer than 1 MiB: put the keys into a CSV file, and name it `from`"
    return Mistake(name, 0, sentence)


def _document(name: str, text: str) -> dict[str, Any] | list[Mistake]:
    secret = [number for number, line in enumerate(text.split("\n"), 1) if has_a_secret(line)]
    if secret:
        return [Mistake(name, number, SENTENCE) for number in secret[:MOST]]
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
    except RecursionError:
        what, where = "it is nested too deeply", ""
    except ValueError:
        what, where = "a number has too many digits", ""
    found = re.match(r"line (\d+)", where)
    line = int(found[1]) if found else text.count("\n") + 1
    return [Mistake(name, line, f"this is no TOML: {what}")]


def _objections(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with single tables and fields: where, and what."""
    for part in document:
        if part not in _PARTS:
            yield (part,), _unknown("the file", "table", part, _PARTS)
    for part in _PARTS:
        if not isinstance(document.get(part, {}), dict):
            yield (part,), f"{part} must be a table: write [{part}]"
            return
    yield from _in_table(("defaults",), document.get("defaults", {}), DEFAULTS)
    keys = document.get("keys", {})
    if not keys:
        yield (), "the file declares no key: write a table [keys.NAME]"
    for title, table in keys.items():
        if isinstance(table, dict):
            yield from _in_table(("keys", title), table, FIELDS)
        else:
            yield ("keys", title), f"keys.{title} must be a table: write [keys.{title}]"


def _in_table(
    path: tuple[str, ...], table: Mapping[str, Any], fields: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, value in table.items():
        if name not in fields:
            yield (*path, name), _unknown(f"[{'.'.join(path)}]", "field", name, [*fields])
            continue
        try:
            fields[name].metadata["check"](value)
        except ExpectedError as error:
            yield (*path, name), f"{name} {error}"


def _unknown(where: str, what: str, name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"{where} may have no {what} {name!r}: {hint}"


def _converted(table: Mapping[str, Any]) -> dict[str, Any]:
    return {FIELDS[name].name: FIELDS[name].metadata["check"](each) for name, each in table.items()}


def _contradictions(table: KeyTable) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is missing from a table, and what does not go together."""
    title = f"[keys.{table.title}]"
    for name in ("service", "store"):
        if not getattr(table, name):
            yield (), f"{title} needs the field {name}"
    places = [name for name in ("inbox", "pod", "tenant") if getattr(table, name)]
    if table.service == "agentry" and len(places) != 1:
        yield (), f"{title} needs one of inbox, pod and tenant, and has {len(places)}"
    only_agentry = [*places, *(["permissions"] if table.permissions is not None else [])]
    if table.service == "agentity":
        for name in only_agentry:
            yield (name,), f"{name} is a field of keys of agentry, and this one is of agentity"
    elif table.permissions is not None and not (table.agent or table.pod):
        yield ("permissions",), "permissions need agent = true, or a pod"
    if table.max_grace is not None and table.max_grace < table.grace:
        yield ("max_grace",), "max_grace must not be shorter than grace"
