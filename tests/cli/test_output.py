"""Text from a service stays text, and what is printed can be read by man and machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from wire import answer

from agentkeys.agentity import NewApiKey
from agentkeys.cli.ground.output import fields_of
from agentkeys.secret import Secret

HOSTILE = (
    "[bold red]x[/] \x1b[31mred\x1b]0;title\x07\nsecond line\r\t\x9b2J \u202etxt [link=http://e]"
)
SHOWN = (
    r"[bold red]x[/] \x1b[31mred\x1b]0;title\x07\nsecond line\r\t\x9b2J \u202etxt [link=http://e]"
)


def agentity_key(nickname: str, key_id: int = 1) -> dict[str, object]:
    time = "2026-01-01T00:00:00.000Z"
    return {"id": key_id, "nickname": nickname, "createdAt": time, "updatedAt": time}


def test_hostile_names_in_plain_columns(run, wire):
    """A name can neither style, nor move the cursor, nor begin a line: it is shown escaped."""
    wire(answer(200, {"apiKeys": [agentity_key(HOSTILE)]}))
    out = run("agentity", "list").out
    assert SHOWN in out
    assert len(out.splitlines()) == 2
    assert all(c.isprintable() or c == "\n" for c in out)


def test_hostile_names_in_json(run, wire):
    """JSON has the name exactly, and nothing but ASCII."""
    wire(answer(200, {"apiKeys": [agentity_key(HOSTILE)]}))
    out = run("agentity", "list", "--json").out
    assert json.loads(out)[0]["nickname"] == HOSTILE
    assert out.isascii()
    assert "\x1b" not in out


def test_hostile_names_on_a_terminal(terminal, wire):
    """Rich does not read a name as markup."""
    wire(answer(200, {"apiKeys": [agentity_key(HOSTILE)]}))
    code, shown = terminal("agentity", "list", columns=200).end()
    assert code == 0
    assert SHOWN in shown
    assert "\x1b[31m" not in shown


def test_hostile_text_in_an_error(run, wire):
    """What the service says of an error is one line that no terminal obeys."""
    wire(answer(404, {"message": HOSTILE}))
    err = run("agentity", "delete", "1").err
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()


def test_a_name_of_ones_own_is_shown_escaped_as_well(place):
    """`create` names the key as `list` does."""
    made = place("agentity", "create", "a\x1b[31m\nb")
    assert made.err.count("\n") == 1
    assert "\x1b" not in made.err
    assert r"a\x1b[31m\nb" in place("agentity", "list").out


def test_a_table_on_a_terminal(terminal, wire):
    """On a terminal a listing is a table, without the columns in which nothing stands."""
    key = {
        "api_key_id": "k-1",
        "name": "ci",
        "prefix": "ag_1",
        "created_at": "2026-01-01T00:00:00Z",
    }
    wire(answer(200, {"api_keys": [key]}))
    code, shown = terminal("agentry", "list", "--tenant").end()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert code == 0
    assert plain[1].split() == ["ID", "NAME", "PREFIX", "CREATED"]
    assert plain[3].split() == ["k-1", "ci", "ag_1", "2026-01-01T00:00:00Z"]


def test_no_color_is_respected(terminal, wire, monkeypatch):
    """NO_COLOR is respected: there is no colour, here as anywhere."""
    monkeypatch.setenv("NO_COLOR", "1")
    wire(answer(200, {"apiKeys": [agentity_key("a")]}))
    _, shown = terminal("agentity", "list").end()
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9)\dm", shown)


@pytest.mark.parametrize(("columns", "name"), [(10, "ci"), (80, "n" * 70), (300, "ci")])
def test_ids_are_never_cut(terminal, wire, columns, name):
    """However narrow the terminal: an id stands whole, on one line, whatever it is made of."""
    long = "0f8fad5b d9cb-469f-a165-70867728950e-and-more"
    keys = [
        {
            "api_key_id": f"{long}-{n}",
            "name": name,
            "prefix": "ag_1",
            "created_at": "2026-01-01T00:00:00Z",
            "inbox_id": "support@example.com",
        }
        for n in range(3)
    ]
    wire(answer(200, {"api_keys": keys}))
    _, shown = terminal("agentry", "list", "--tenant", columns=columns).end()
    assert re.findall(rf"{long}-\d", shown) == [key["api_key_id"] for key in keys]
    assert "…" not in shown


def test_plain_columns_are_aligned(run, wire):
    """Where there is no terminal, columns are aligned by spaces, and nothing is a dash."""
    keys = [
        {"api_key_id": "k", "name": "a", "prefix": "ag_1", "created_at": "2026-01-01T00:00:00Z"},
        {"api_key_id": "key-2", "name": "", "prefix": "ag_2", "created_at": "2026-01-01T00:00:00Z"},
    ]
    wire(answer(200, {"api_keys": keys}))
    header, first, second = run("agentry", "list", "--tenant").out.splitlines()
    assert header == "ID     NAME  PREFIX  CREATED               USED  INBOX  POD  PERMISSIONS"
    assert first == "k      a     ag_1    2026-01-01T00:00:00Z  -     -      -    -"
    assert second.startswith("key-2  -     ag_2")


def test_a_secret_is_no_field_unless_it_is_asked_for():
    """Even a listing whose records held a secret would not print it."""
    now = datetime.now(UTC)
    new = NewApiKey(id=1, nickname="a", created_at=now, updated_at=now, key=Secret("agk_live_1"))
    assert fields_of(new).keys() == {"id", "nickname", "created_at", "updated_at"}
    assert fields_of(new, revealed=True)["key"] == "agk_live_1"


def test_a_stream_that_cannot_encode_a_name(start, wire, monkeypatch):
    """A name is shown escaped where the output's encoding does not have its characters."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    wire(answer(200, {"apiKeys": [agentity_key("ключ")]}))
    out, err = start("agentity", "list").communicate(timeout=30)
    assert r"\u043a\u043b\u044e\u0447" in out
    assert err == ""


def test_help_imports_nothing_slow():
    """--help must answer at once: it imports no aiohttp, asyncio, rich, SQLAlchemy or attrs."""
    code = (
        "import sys\n"
        "from agentkeys.cli import commands\n"
        "try: commands.main(['agentry', 'create', '--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'aiohttp', 'asyncio', 'attrs', 'cattrs', 'logging', 'rich', 'sqlalchemy'}\n"
        "sys.stderr.write(' '.join(sorted(slow & set(sys.modules))))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert ended.stdout.startswith("Usage: ")
    assert ended.stderr == ""
