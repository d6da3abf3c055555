"""The only output of the command line: everything that it prints, logs and asks.

Text from outside is shown as text: it cannot style a table, move a terminal's cursor, change the
direction of the text after it, or begin a new line.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from datetime import UTC, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.ground.codes import fields_of_error
from agentkeys.masking import mask
from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "OutputError",
    "abandon",
    "as_json",
    "ask",
    "ask_secret",
    "draws",
    "fields_of",
    "is_abandoned",
    "is_broken",
    "is_closed",
    "note",
    "note_table",
    "plain",
    "print_table",
    "printable",
    "progress",
    "report",
    "secret_given",
    "write",
]

_NOTHING: Final = "-"
_FEWEST: Final = 2  # the smallest number of steps for a progress bar

_abandoned: object = ...


class OutputError(Exception):
    """Standard output cannot be written."""


def write(*lines: str) -> None:
    """Print each of *lines* on its own line, and check that all of them were written.

    Raises:
        OutputError: they were not; BrokenPipeError if the reader is gone.
    """
    _write("\n".join(map(printable, lines)))


def _write(text: str) -> None:
    if is_closed():
        raise OutputError("standard output is closed: open it, or redirect it to a file")
    if is_abandoned():
        raise OutputError("standard output could not be written before")
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"standard output cannot be written: {reason}") from error


def is_closed() -> bool:
    """Whether the process was started with standard output closed."""
    return sys.stdout is None


def is_abandoned() -> bool:
    """Whether `abandon` was called."""
    return sys.stdout is _abandoned


def is_broken() -> bool:
    """Whether standard output cannot write its buffer, e.g. after a help text of click."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def abandon() -> None:
    """Give up standard output: its buffer is not written when the process ends.

    Nothing else is written either: a lost secret must not look like a printed one.
    """
    global _abandoned  # noqa: PLW0603  # the stream is global too
    _abandoned = sys.stdout
    # It has no descriptor if it is closed, or not a stream of the system.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        descriptor = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def note(text: str) -> None:
    """Print a line on stderr, with keys masked; ignore that it cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(printable(mask(text)), err=True)


def report(
    sentence: str, *, in_json: bool, error: Exception | None = None, key_id: object = None
) -> None:
    """Print an error on stderr: as a line of text, or as one JSON object.

    Args:
        sentence: the text.
        in_json: whether --json was given.
        error: the exception, if there is one.
        key_id: the id of the key that it concerns.
    """
    if not in_json:
        note(f"Error: {sentence}")
        return
    # Masked before it is JSON: a masked part may end in a backslash of the JSON.
    shown = mask(key_id) if isinstance(key_id, str) else key_id
    fields = fields_of_error(error or sentence, mask(sentence), key_id=shown)
    with contextlib.suppress(OSError, ValueError):
        click.echo(as_json(fields), err=True)


def ask(question: str) -> bool:
    """Ask a yes-or-no question on the terminal."""
    return click.confirm(printable(question), err=True)


def ask_secret(question: str) -> Secret:
    """Ask for a secret on the terminal, without showing the input."""
    return Secret(click.prompt(printable(question), hide_input=True, err=True))


def secret_given(question: str) -> Secret | None:
    """Ask for a secret on a terminal, or read it from standard input; return None if empty."""
    if sys.stdin is None:
        return None
    if sys.stdin.isatty():
        return ask_secret(question)
    return Secret(sys.stdin.read().removesuffix("\n").removesuffix("\r")) or None


def printable(text: str) -> str:
    """Return *text* as one printable line: other characters are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def draws(text: str) -> bool:
    """Whether standard output is a terminal, which can show *text*."""
    if sys.stdout is None or not sys.stdout.isatty():
        return False
    try:
        text.encode(sys.stdout.encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def fields_of(record: Any, *, revealed: bool = False) -> dict[str, object]:
    """Return the fields of a record as JSON types, with its secret only if *revealed*."""
    import attrs

    sent = (field.name for field in attrs.fields(type(record)) if field.init)
    values = {name: getattr(record, name) for name in sent}
    return {
        name: plain(value)
        for name, value in values.items()
        if revealed or not isinstance(value, Secret)
    }


def as_json(value: object) -> str:
    """Return *value* as JSON on one line, in ASCII, for any terminal and any pipe."""
    return json.dumps(value).replace("\x7f", r"\u007f")


def print_table(records: Iterable[object], columns: Mapping[str, str]) -> None:
    """Print records, one on a line: a table on a terminal, else plain columns.

    Args:
        records: the records.
        columns: the attribute for each title. The first one identifies a record, and is never
            shortened.
    """
    rows = [[_cell(getattr(record, name)) for name in columns.values()] for record in records]
    if sys.stdout is not None and sys.stdout.isatty():
        _print_rich(list(columns), rows)
    else:
        write(*_aligned([list(columns), *rows]))


def note_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows on stderr, in columns, with keys masked."""
    for line in _aligned([[printable(cell) for cell in row] for row in rows]):
        note(line)


@contextlib.contextmanager
def progress(total: int, *, may_show: bool) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Show a progress bar on a terminal; yield a function to call after each step.

    The function takes another function, which prints the result of the step after the bar is gone.
    """
    if not may_show or total < _FEWEST or sys.stderr is None or not sys.stderr.isatty():
        yield lambda say: say()
        return
    from rich.console import Console
    from rich.progress import Progress

    held: list[Callable[[], None]] = []
    try:
        with Progress(
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as bar:
            task = bar.add_task("", total=total)

            def step(say: Callable[[], None]) -> None:
                held.append(say)
                bar.advance(task)

            yield step
    finally:
        for say in held:
            say()


def plain(value: object) -> object:
    """Return a field of a record as a JSON type."""
    match value:
        case Secret():
            return value.reveal()
        case datetime():
            utc = value.astimezone(UTC)
            return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def _cell(value: object) -> str:
    match value:
        case None | "":
            return _NOTHING
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case dict():
            flags = (f"{flag}={json.dumps(on)}" for flag, on in value.items())
            return printable(" ".join(flags)) or _NOTHING
    return printable(str(value))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _print_rich(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    used = [any(row[n] != _NOTHING for row in rows) for n in range(len(titles))]
    for title in (title for title, wanted in zip(titles, used, strict=True) if wanted):
        table.add_column(title, no_wrap=title == titles[0], overflow="fold")
    for row in rows:
        # Text and not str, which rich would read as markup.
        table.add_row(*(Text(cell) for cell, wanted in zip(row, used, strict=True) if wanted))
    width, height = shutil.get_terminal_size()
    console = Console(width=width, height=height)
    unbounded = console.options.update(max_width=sys.maxsize)
    narrowest = Measurement.get(console, unbounded, table).minimum
    if narrowest > console.width:  # too wide for the terminal rather than an id cut off
        table.width = narrowest
    with console.capture() as capture:
        console.print(table, crop=False)
    _write(capture.get().rstrip("\n"))  # the colours are ours, and each cell is printable
