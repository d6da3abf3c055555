"""Print the man page of the command line: ``python docs/man.py > docs/agentkeys.1``.

It is committed, and goes into the wheel; a test compares it with the program.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from click.testing import CliRunner

from agentkeys import __version__
from agentkeys.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click


def page() -> str:
    """Return the man page: the help of each command, as it is printed."""
    sections = [f'.SH "{line.upper()}"\n.nf\n{_roff(help_of(line))}.fi\n' for line in lines()]
    return (
        f'.TH AGENTKEYS 1 "" "agentkeys {__version__}" "User Commands"\n'
        f".SH NAME\nagentkeys \\- {_roff(str(commands.help)).rstrip('.')}\n" + "".join(sections)
    )


def lines(command: click.Command = commands, line: str = "agentkeys") -> Iterator[str]:
    """Yield what is typed to run *command*, and each command below it."""
    yield line
    for name, each in getattr(command, "commands", {}).items():
        yield from lines(each, f"{line} {name}")


def help_of(line: str) -> str:
    """Return what the command *line* prints with ``--help``, on a terminal of 80 columns."""
    name, *words = line.split()
    # Two columns are click's margin.
    done = CliRunner().invoke(commands, [*words, "--help"], prog_name=name, terminal_width=78)
    return done.output


def _roff(text: str) -> str:
    """Return *text* as troff prints it: a dash as it is typed, a dot at the start of a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(page())
