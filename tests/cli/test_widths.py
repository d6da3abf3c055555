"""A table shows every key, however wide the terminal says that it is."""

from __future__ import annotations

import re

import pytest
from wire import answer

KEY = {"id": 1, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-02T00:00:00Z"}
NAMES = [
    "first",
    "second-with-a-long-name",
    "\u0434\u0440\u0443\u0433\u043e\u0439",
    "\u6f22\u5b57" * 3,
]
COLUMNS = [
    "0",
    "00",
    "1",
    "2",
    "7",
    "79",
    "100000",
    "9" * 18,
    "-5",
    "",
    "x",
    "\u0663",
    " 80 ",
    "1e3",
]

# Prints the same table for each size of the terminal and each COLUMNS.
TABLES = """
import fcntl, os, struct, sys, termios
from types import SimpleNamespace
from agentkeys.__main__ import _prepare_streams
from agentkeys.cli.ground.output import print_table

_prepare_streams()
names, sizes, columns = eval(sys.argv[1])
keys = [SimpleNamespace(id=101 + n, name=name, what="-") for n, name in enumerate(names)]
for size in sizes:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, size, 0, 0))
    for each in columns:
        os.environ["COLUMNS"] = each
        print_table(keys, {"ID": "id", "NAME": "name", "X": "what"})
        print("=====")
"""


def assert_whole(shown: str) -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert [len(re.findall(rf"(?m)^[ |]?{n}\b", plain)) for n in range(101, 105)] == [1, 1, 1, 1]
    assert "first" in plain


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"LINES": "0"},
        {"LINES": "1"},
        {"TERM": "dumb"},
        {"TERM": "", "NO_COLOR": "1"},
        {"TERM": "unknown", "PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=str,
)
def test_any_width_shows_every_key_on_any_terminal(terminal, env):
    """0 is what some programs set where there is none, and what a fresh pty has."""
    sizes = [0, 1, 3, 20, 500]
    code, shown = terminal(str((NAMES, sizes, COLUMNS)), code=TABLES, env=env).end()
    tables = shown.split("=====\n")
    assert (code, len(tables), tables.pop()) == (0, len(sizes) * len(COLUMNS) + 1, "")
    for table in tables:
        assert_whole(table)
    if "NO_COLOR" in env or env.get("TERM") == "dumb":
        assert not re.search(r"\x1b\[[0-9;]*(3|4|9)\dm", shown)


@pytest.fixture
def listing(wire) -> None:
    keys = [{**KEY, "id": 101 + n, "nickname": name} for n, name in enumerate(NAMES)]
    wire(answer(200, {"apiKeys": keys}))


@pytest.mark.usefixtures("listing")
def test_a_listing_on_a_terminal_without_columns(terminal):
    """The whole way of it."""
    code, shown = terminal("agentity", "list", env={"COLUMNS": "0"}).end()
    assert code == 0
    assert_whole(shown)


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize("columns", ["0", "1"])
def test_any_width_shows_every_key_in_a_pipe(run, monkeypatch, columns):
    """Where a table is plain columns."""
    monkeypatch.setenv("COLUMNS", columns)
    ended = run("agentity", "list")
    assert_whole(ended.out)
    assert len(ended.out.splitlines()) == 5


@pytest.mark.parametrize("columns", ["0", "1", "x"])
def test_help_at_any_width(run, monkeypatch, columns):
    """Help is click's own."""
    monkeypatch.setenv("COLUMNS", columns)
    ended = run("agentity", "create", "--help")
    assert ended.code == 0
    assert "NICKNAME" in ended.out
