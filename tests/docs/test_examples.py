"""Every code block of the documentation runs, against a local service of its page's own.

The language of a block says what becomes of it:

- ``python`` is executed, in one namespace for its page; ``await`` may stand outside of functions,
  as in a notebook.
- ``python NAME`` or ``toml NAME`` is saved as the file NAME, for the shell blocks that follow.
- ``sh`` is run by bash, in an empty folder of the page's own; if it is nothing but commands of
  ours, in this process, for starting one takes its time.
- ``text`` is what the block before it prints, in which ``...`` stands for anything.
- ``text COMMAND --help`` and ``pyi`` are rendered from the program, and compared by another test.

Names in braces are directives of Sphinx's, and run nowhere. A comment that says
``<!-- not run: REASON -->`` right before a block keeps it from being run.

It is no Sybil: that has neither top-level ``await`` nor a shell nor a service for each page, and
finding the blocks is the small rest.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import logging
import os
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from click.testing import CliRunner

from agentkeys.cli import commands
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?"
    r"^(?P<fence>```+)(?P<info>[^\n]*)\n(?P<code>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
OURS = re.compile(r"(?:agentkeys [\w@./= -]+\n)+")
PATIENCE = 60.0
"""Seconds that a shell block may take."""


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    name: str
    code: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Find the blocks of a page that are code: not those of directives."""
    text = page.read_text()
    for found in FENCE.finditer(text):
        language, _, name = found["info"].strip().partition(" ")
        if not language.startswith("{"):
            line = text.count("\n", 0, found.start("code"))
            yield Block(page, line, language, name, found["code"], found["reason"])


def run_command(line: str) -> str:
    """Run one of our commands in this process; return what it prints on either stream."""
    done = CliRunner().invoke(commands, shlex.split(line)[1:], prog_name="agentkeys")
    assert done.exit_code == 0, f"{line}: {done.output}"
    return done.output


class Reader:
    """Somebody who reads a page and does what it says, from the first block to the last."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self._folder = folder
        self._runner = runner
        self._namespace: dict[str, object] = {"__name__": "__main__"}
        self._printed: str | None = None

    def follow(self, block: Block) -> None:
        if block.reason:
            self._printed = None
            return
        match block.language, block.name:
            case "python", "":
                self._printed = self._run_python(block)
            case "python" | "toml", name if name:
                (self._folder / name).write_text(block.code)
            case "sh", "" if OURS.fullmatch(block.code):
                self._printed = "".join(map(run_command, block.code.splitlines()))
            case "sh", "":
                self._printed = self._run_shell(block)
            case "text", "":
                self._compare(block)
            case ("text", _) | ("pyi", ""):
                self._printed = None
            case _:
                pytest.fail(f"{block.place}: nobody knows how to run {block.language!r}")

    def _run_python(self, block: Block) -> str:
        # The empty lines make a traceback name the line of the page.
        source = "\n" * block.line + block.code
        code = compile(source, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        run = types.FunctionType(code, self._namespace)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            if code.co_flags & inspect.CO_COROUTINE:
                self._runner.run(run())
            else:
                run()
        return printed.getvalue()

    def _run_shell(self, block: Block) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],  # noqa: S607  # wherever it is
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{block.place}: {done.stdout}"
        return done.stdout

    def _compare(self, block: Block) -> None:
        assert self._printed is not None, f"{block.place}: what should have printed this?"
        same = doctest.OutputChecker().check_output(block.code, self._printed, doctest.ELLIPSIS)
        assert same, f"{block.place} says\n{block.code}\nbut this was printed:\n{self._printed}"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalService]:
    """Run a local service, with an inbox and a pod, for which the environment has credentials."""
    with LocalService() as service:
        service.add_pod("support")
        service.add_inbox("support@acme.to", "support")
        for name, value in {
            "AGENTITY_BASE_URL": service.url,
            "AGENTITY_EMAIL": service.email,
            "AGENTITY_PASSWORD": service.password,
            "AGENTRY_BASE_URL": service.url,
            "AGENTRY_API_KEY": service.agentry_token,
        }.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, which is the home directory too, with our commands in the PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def _logging() -> Iterator[None]:
    """Put the logger back to what it was before a page's code."""
    logger = logging.getLogger("agentkeys")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.slow
@pytest.mark.usefixtures("service", "_logging")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page, folder):
    """Whoever does what a page says, block by block, gets what it says."""
    with asyncio.Runner() as runner:
        reader = Reader(folder, runner)
        for block in blocks_of(page):
            reader.follow(block)


@pytest.mark.usefixtures("service", "_logging")
def test_the_python_of_the_readme_runs(folder):
    """So does what the README shows; its shell blocks install things."""
    with asyncio.Runner() as runner:
        reader = Reader(folder, runner)
        for block in blocks_of(ROOT / "README.md"):
            if block.language == "python":
                reader.follow(block)


def test_every_block_has_a_language():
    """A block without one would be neither run nor highlighted."""
    assert [block.place for page in PAGES for block in blocks_of(page) if not block.language] == []
