"""The options that choose keys, and those of work on many keys."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from agentkeys.cli.bulk.choosing import ORDERS, Criteria
from agentkeys.cli.options import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TextIO

    from agentkeys.cli.services import Service

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
        help="Keys whose name matches, e.g. 'ci-*'; repeatable.",
    ),
    click.option("--older-than", metavar="AGE", type=duration, help="Keys this old, e.g. 90d."),
    click.option(
        "--unused-for", metavar="AGE", type=duration, help="Keys unused for so long (Agentry)."
    ),
    click.option(
        "--sort",
        type=click.Choice(ORDERS),
        metavar="FIELD",
        help="id, name, created or used (Agentry); -FIELD reverses.",
    ),
    click.option("--limit", type=click.IntRange(min=1), help="At most so many keys."),
)

jobs_option: Final = click.option(
    "--jobs",
    type=click.IntRange(1, _MOST_JOBS),
    default=_JOBS,
    show_default=True,
    metavar="N",
    help="How many requests are under way at once.",
)
names_option: Final = click.option(
    "--names-from",
    "names_file",
    metavar="FILE",
    type=click.File(encoding="utf-8-sig"),
    help="Make a key for each line of FILE; - is standard input.",
)


def with_choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose keys, and hand *command* the `Criteria` that they are."""

    @functools.wraps(command)
    def choosing(*args: Any, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in _NAMES}
        command(*args, criteria=Criteria(**given), **kwargs)

    for option in reversed(_OPTIONS):
        choosing = option(choosing)
    return choosing


_NAMES: Final = ("names", "older_than", "unused_for", "sort", "limit")


def with_words(criteria: Criteria, service: Service[Any], words: Sequence[str]) -> Criteria:
    """Return *criteria* with the words of the command line: ids, and what may be names."""
    from agentkeys import arguments

    # All of them before the first is sent. A name that is no segment of a path is for --name.
    for word in words:
        arguments.segment("KEY", word)
    ids = tuple(service.key_id(word) for word in words if service.is_id(word))
    return replace(
        criteria, ids=ids, words=tuple(word for word in words if not service.is_id(word))
    )


def check_tells(service: Service[Any], criteria: Criteria) -> None:
    """Raise an error if the keys of *service* do not have what they are to be chosen by."""
    if "used_at" in service.columns.values():
        return
    asked = "--unused-for" if criteria.unused_for is not None else "--sort used"
    if criteria.unused_for is not None or (criteria.sort or "").endswith("used"):
        raise click.UsageError(
            f"{service.name} does not say when a key was last used, so {asked} cannot work here:"
            " use --older-than, or --sort created"
        )


def names_read(names: Sequence[str], file: TextIO | None) -> tuple[str, ...]:
    """Return the names of new keys, of the command line and of a file, each one checked."""
    from agentkeys import arguments

    wanted = [*names, *(read_lines(file) if file is not None else ())]
    for name in wanted:
        arguments.text("NAME", name)
    twice = next((name for name in wanted if wanted.count(name) > 1), None)
    if twice is not None:
        raise click.UsageError(f"the name {twice!r} is given twice")
    return tuple(wanted)


def read_lines(file: Iterable[str]) -> list[str]:
    """Return the lines of a file without the white space around them, and no empty one."""
    try:
        return [line for line in map(str.strip, file) if line]
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
    raise click.UsageError(f"the file cannot be read: {reason}: give one in UTF-8")
