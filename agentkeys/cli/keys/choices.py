"""The options that choose keys, and the options for work on many keys."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.bulk.choosing import ORDERS, Criteria
from agentkeys.cli.ground.options import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TextIO

    from agentkeys.cli.ground.services import Service

__all__ = [
    "check_tells",
    "jobs_option",
    "names_option",
    "names_read",
    "read_lines",
    "with_choosing",
    "with_words",
]

_JOBS: Final = 16
_MOST_JOBS: Final = 100

_OPTIONS: Final = (
    click.option(
        "--name",
        "names",
        metavar="PATTERN",
        multiple=True,
        help="Only keys with a matching name, e.g. 'ci-*'; repeatable.",
    ),
    click.option("--older-than", metavar="AGE", type=duration, help="Only older keys, e.g. 90d."),
    click.option(
        "--unused-for",
        metavar="AGE",
        type=duration,
        help="Only keys unused for that long (Agentry).",
    ),
    click.option(
        "--sort",
        type=click.Choice(ORDERS),
        metavar="FIELD",
        help="id, name, created or used (Agentry); -FIELD reverses the order.",
    ),
    click.option("--limit", type=click.IntRange(min=1), help="The largest number of keys."),
)

jobs_option: Final = click.option(
    "--jobs",
    type=click.IntRange(1, _MOST_JOBS),
    default=_JOBS,
    show_default=True,
    metavar="N",
    help="The number of parallel requests.",
)
names_option: Final = click.option(
    "--names-from",
    "names_file",
    metavar="FILE",
    type=click.File(encoding="utf-8-sig"),
    help="Create a key for each line of FILE; - is standard input.",
)


def with_choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose keys, and pass *command* their `Criteria`."""

    @functools.wraps(command)
    def choosing(*args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in _NAMES}
        command(*args, criteria=Criteria(**given), **kwargs)

    for option in reversed(_OPTIONS):
        choosing = option(choosing)
    return choosing


_NAMES: Final = ("names", "older_than", "unused_for", "sort", "limit")


def with_words(criteria: Criteria, service: Service[Any], words: Sequence[str]) -> Criteria:
    """Return *criteria* with the words of the command line: ids, and possible names."""
    from agentkeys import arguments

    # All of them before the first request. A name that is not a segment of a path is for --name.
    for word in words:
        arguments.segment("KEY", word)
    ids = tuple(service.key_id(word) for word in words if service.is_id(word))
    return replace(
        criteria, ids=ids, words=tuple(word for word in words if not service.is_id(word))
    )


def check_tells(service: Service[Any], criteria: Criteria) -> None:
    """Raise an error if the keys of *service* lack the fields that they are chosen by."""
    if "used_at" in service.columns.values():
        return
    asked = "--unused-for" if criteria.unused_for is not None else "--sort used"
    if criteria.unused_for is not None or (criteria.sort or "").endswith("used"):
        raise click.UsageError(
            f"{service.name} does not report when a key was last used, so {asked} cannot work here:"
            " use --older-than, or --sort created"
        )


def names_read(names: Sequence[str], file: TextIO | None) -> tuple[str, ...]:
    """Return the checked names of new keys, from the command line and a file."""
    from agentkeys import arguments

    wanted = [*names, *(read_lines(file) if file is not None else ())]
    for name in wanted:
        arguments.text("NAME", name)
    twice = next((name for name in wanted if wanted.count(name) > 1), None)
    if twice is not None:
        raise click.UsageError(f"the name {twice!r} is given twice: give each name once")
    return tuple(wanted)


def read_lines(file: Iterable[str]) -> list[str]:
    """Return the non-empty lines of a file, without white space around them."""
    try:
        return [line for line in map(str.strip, file) if line]
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
    raise click.UsageError(f"the file cannot be read: {reason}: use a file in UTF-8")
