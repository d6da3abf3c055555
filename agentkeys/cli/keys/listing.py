"""List keys: choose them, and print them."""

from __future__ import annotations

import csv
import io
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.bulk.choosing import chosen, missing
from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import NOT_FOUND, MissingKeyError
from agentkeys.cli.ground.services import run
from agentkeys.cli.keys.choices import check_tells

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from agentkeys.cli.bulk.choosing import Criteria
    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Target
    from agentkeys.keys import Key
    from agentkeys.paging import Pager

__all__ = ["form_option", "report_missing", "show", "show_keys"]

_FORMS: Final = ("table", "json", "jsonl", "csv")

form_option: Final = click.option(
    "--format",
    "form",
    type=click.Choice(_FORMS),
    help="The format; jsonl and csv are printed page by page.",
)


def show(
    options: Options,
    target: Target[Any, Any],
    pager: Callable[[Any], Pager[Any]],
    criteria: Criteria,
    form: str | None,
) -> None:
    """List the chosen keys.

    Args:
        options: the options of every command.
        target: the place of the keys.
        pager: lists all keys.
        criteria: which keys to choose.
        form: one of `_FORMS`, or None for the format of --json.
    """
    check_tells(target.service, criteria)
    if options.json and form not in {None, "json"}:
        raise click.UsageError(f"--json and --format {form} cannot be combined")
    form = form or ("json" if options.json else "table")
    listing = _Listing(target, criteria)
    run(options, target, lambda keys: listing.show(pager(keys), form))
    for word in listing.missing:
        report_missing(options, word)
    if listing.missing:
        raise click.exceptions.Exit(NOT_FOUND)


def report_missing(options: Options, word: object) -> None:
    """Report that no key has this id or name."""
    sentence = f"there is no key with the id or the name {word!r} here"
    output.report(sentence, in_json=options.json, error=MissingKeyError(sentence), key_id=word)


class _Listing:
    def __init__(self, target: Target[Any, Any], criteria: Criteria) -> None:
        self._target = target
        self._criteria = criteria
        self.missing: list[Any] = []

    async def show(self, pager: Pager[Any], form: str) -> None:
        columns = self._target.service.columns
        parts = self._parts(pager)
        if form in {"table", "json"}:
            keys = [key async for part in parts for key in part]
            if form == "table" and not keys and not self.missing:
                narrows = self._criteria.narrows
                output.note("No key matches." if narrows else "There are no keys here.")
            else:
                show_keys(keys, columns, in_json=form == "json")
            return
        if form == "csv":
            output.write(_csv_line(columns.values()))
        async with aclosing(parts):
            async for part in parts:
                if part:
                    output.write(*(_line(key, columns.values(), form) for key in part))

    async def _parts(self, pager: Pager[Any]) -> AsyncGenerator[Sequence[Key[Any]], None]:
        """Yield the chosen keys, page by page if each page can be judged alone."""
        now = datetime.now(UTC)
        criteria = self._criteria
        if criteria.needs_all:
            keys = await pager.collect()
            self.missing = missing(keys, criteria)
            yield chosen(keys, criteria, now)
            return
        left = criteria.limit
        async with aclosing(pager.pages()) as pages:
            async for page in pages:
                part = [key for key in page.items if criteria.admits(key, now)][:left]
                yield part
                left = None if left is None else left - len(part)
                if left == 0:
                    return


def show_keys(keys: Sequence[Key[Any]], columns: Any, *, in_json: bool) -> None:
    """Print keys: as one JSON array, or as a table."""
    if in_json:
        output.write(output.as_json([output.fields_of(key) for key in keys]))
    elif keys:
        output.print_table(keys, columns)


def _line(key: Key[Any], names: Any, form: str) -> str:
    fields = output.fields_of(key)
    if form == "jsonl":
        return output.as_json(fields)
    return _csv_line(output.plain(getattr(key, name)) for name in names)


def _csv_line(cells: Any) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([_csv_cell(cell) for cell in cells])
    return line.getvalue()


def _csv_cell(cell: object) -> str:
    if isinstance(cell, dict):
        return output.as_json(cell)
    return "" if cell is None else output.printable(str(cell))
