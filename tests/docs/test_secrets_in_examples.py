"""What the documentation does with secrets, others on the same machine cannot read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
SHELL = re.compile(r"```(?:sh|console|bash)\n(.*?)```", re.DOTALL)
# Into a file or a pipe; not into another descriptor, nor into /dev/null.
INTO = re.compile(r"(?<!\d)>>?\s*(?!&|/dev/)(\S+)")


def lines(page: Path) -> list[str]:
    return [line for block in SHELL.findall(page.read_text()) for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_example_that_pipes_a_secret_makes_its_pipe_private(page):
    """A fifo has mode 0600, and lies in a folder of mktemp's; so does a file with a secret."""
    for line in lines(page):
        if "mkfifo" in line:
            assert re.search(r'mkfifo -m 600 "\$folder/', line), line
        if re.search(r"agentkeys .*(serve|create)", line) and "--save" not in line:
            assert all(into.startswith('"$folder/') for into in INTO.findall(line)), line


def test_there_is_such_an_example():
    """Or the test above looks at nothing."""
    everything = "\n".join(line for page in PAGES for line in lines(page))
    assert "mkfifo" in everything
    assert "folder=$(mktemp -d)" in everything
