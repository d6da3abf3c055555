"""Makes declared keys of a table, and of each of its rows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from agentkeys import arguments
from agentkeys.errors import AgentKeysError, ConfigurationError
from agentkeys.fleet.manifest import rows
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.fleet.manifest.mistakes import ExpectedError, Mistake
from agentkeys.fleet.manifest.secrecy import has_a_secret
from agentkeys.fleet.manifest.tables import TEMPLATES, KeyTable
from agentkeys.fleet.manifest.templates import Template
from agentkeys.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agentkeys.fleet.manifest.rows import Row

__all__ = ["Filler"]

_IN_FILES: Final = ("dotenv", "file")
"""Stores whose addresses may be relative paths, which begin at the folder of the file."""


class Filler:
    """Makes the declared keys of one table.

    Args:
        table: the table.
        file: the file that it is in.
        folder: where relative paths begin.
        lines: the lines of its fields; of the table itself by "".

    """

    def __init__(self, table: KeyTable, file: str, folder: str, lines: Mapping[str, int]) -> None:
        self._table = table
        self._file = file
        self._folder = folder
        self._lines = lines

    def one(self) -> Iterator[Declared | Mistake]:
        """Yield the key of a table without rows."""
        texts = {name: getattr(self._table, name) or None for name in TEMPLATES}
        yield self._declared(texts, self._file, self._lines[""])

    def each(self) -> Iterator[Declared | Mistake]:
        """Yield the key of each row."""
        source = self._table.source or ""
        try:
            with rows.opened(source, self._folder) as found:
                templates, mistakes = self._templates(found.columns)
                if mistakes:
                    yield from mistakes
                    return
                for row in found.each:
                    yield self._of_row(found.name, found.columns, row, templates)
        except ExpectedError as error:
            name = "the query" if "://" in source else source
            yield self._mistake("from", f"{name} {error}")

    def _templates(self, columns: Sequence[str]) -> tuple[dict[str, Template], list[Mistake]]:
        templates: dict[str, Template] = {}
        mistakes = []
        for name in TEMPLATES:
            text = getattr(self._table, name)
            if not text:
                continue
            try:
                templates[name] = Template.of(text, columns)
            except ExpectedError as error:
                mistakes.append(self._mistake(name, f"{name} {error}"))
        return templates, mistakes

    def _of_row(
        self, name: str, columns: Sequence[str], row: Row, templates: Mapping[str, Template]
    ) -> Declared | Mistake:
        file = name if "://" in str(self._table.source) else self._beside(name)
        if row.values is None:
            return Mistake(file, row.line, f"the row must have {len(columns)} values")
        if has_a_secret("\n".join(row.values.values())):
            return Mistake(file, row.line, "the row has a password or a key in it: remove it")
        used = {column for each in templates.values() for _, column in each.parts if column}
        bad = [c for c in used if not row.values[c].isprintable() or not row.values[c].strip()]
        if bad:
            return Mistake(file, row.line, f"the column {bad[0]!r} is empty, or not printable")
        try:
            texts = {
                name: each.address(row.values) if name == "store" else each.filled(row.values)
                for name, each in templates.items()
            }
        except ExpectedError as error:
            return Mistake(file, row.line, f"store {error}")
        return self._declared(texts, file, row.line)

    def _beside(self, name: str) -> str:
        """Return the path of a file of rows, as the path of this file was given."""
        return os.path.join(os.path.dirname(self._file), name)  # noqa: PTH118, PTH120

    def _declared(self, texts: Mapping[str, Any], file: str, line: int) -> Declared | Mistake:
        table = self._table
        try:
            for name in ("inbox", "pod"):
                if texts.get(name) is not None:
                    arguments.segment(name, texts[name])
            return Declared(
                service=table.service,
                name=texts.get("name") or table.title,
                store=_address(_placed(texts["store"], self._folder)),
                inbox=texts.get("inbox"),
                pod=texts.get("pod"),
                agent=table.agent or table.pod is not None,
                permissions=table.permissions,
                grace=table.grace,
                max_grace=table.max_grace,
                max_age=table.max_age,
                profile=table.profile,
                where=f"{file}:{line}" if line else file,
            )
        except AgentKeysError as error:
            sentence = str(error)
        return Mistake(file, line, sentence)

    def _mistake(self, field: str, sentence: str) -> Mistake:
        return Mistake(self._file, self._lines[field], sentence)


def _address(given: str) -> str:
    """Return the address of a store as the ledger has it.

    Raises:
        InvalidArgumentError: it is none.

    """
    try:
        return open_store(given).address
    except ConfigurationError:  # who looks into the store says it
        return given


def _placed(address: str, folder: str) -> str:
    """Return the address of a store whose relative path begins at *folder*."""
    scheme, _, place = address.partition(":")
    if scheme not in _IN_FILES or not place or place.startswith("~"):
        return address
    return f"{scheme}:{os.path.join(folder, place)}"  # noqa: PTH118
