"""`agentkeys journal` shows where the journal lies, and moves it; no password is shown."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from journals import asking, kept
from proxies import Proxy

from agentkeys.lifecycle.journal import FileJournal

PASSWORD = "Zq8vKp2wRx7nTm4y"


@pytest.fixture
def entry(home) -> str:
    """The id of a key that is kept in the files."""
    return FileJournal().adopt(kept(asking()))


def test_it_goes_into_the_database_and_back(run, entry, database, monkeypatch):
    """And each time the other one is empty."""
    address = database.replace("@", f":{PASSWORD}@")
    moved = run("journal", "move", "--to", address)
    assert (moved.code, moved.err) == (0, "")
    assert moved.out.startswith("moved 1 from ")
    assert PASSWORD not in moved.out
    assert run("journal", "show").out.endswith(": 0 kept, 0 under way\n")
    monkeypatch.setenv("AGENTKEYS_JOURNAL", address)
    shown = json.loads(run("journal", "show", "--json").out)
    assert (shown["kept"], shown["under_way"], shown["unreadable"]) == (1, 0, [])
    assert PASSWORD not in shown["where"]
    assert json.loads(run("status", "--json").out)["kept"][0]["id"] == entry
    assert run("journal", "move", "--to", "files").code == 0
    monkeypatch.delenv("AGENTKEYS_JOURNAL")
    assert run("journal", "show").out.endswith(": 1 kept, 0 under way\n")


def test_what_somebody_works_on_is_named_with_an_exit_code(run, home, database):
    """It is to be moved later."""
    owned = FileJournal().begin(asking())
    moved = run("journal", "move", "--to", database)
    assert moved.code == 3
    assert "bot~aaaaaa" in moved.err
    owned.forget()


def test_what_cannot_be_read_needs_a_person(run, entry, database):
    """It stays where it is."""
    (FileJournal.ledger() / "0123456789abcdef.key").write_text("{}\n")
    moved = run("journal", "move", "--to", database, "--json")
    assert moved.code == 4
    assert json.loads(moved.out)["moved"] == 1
    assert "0123456789abcdef" in moved.err


@pytest.mark.parametrize("to", ["files", PASSWORD, f"mysql://me:{PASSWORD}@host/db"])
def test_nowhere_to_go_is_wrong_usage(run, home, to):
    """Without the address in the error."""
    moved = run("journal", "move", "--to", to)
    assert (moved.code, moved.out) == (2, "")
    assert PASSWORD not in moved.err


@pytest.fixture
def behind(home, postgres, database, monkeypatch) -> Iterator[Proxy]:
    """The network before the journal."""
    with Proxy(postgres.port) as proxy:
        name = database.rpartition("/")[2]
        monkeypatch.setenv("AGENTKEYS_JOURNAL", postgres.address(name, port=proxy.port))
        yield proxy


@pytest.mark.slow
@pytest.mark.parametrize("command", ["audit", "sweep"])
def test_a_journal_that_does_not_answer_is_waited_for_as_long_as_timeout_says(run, behind, command):
    """And no longer, but for two seconds in which it may still answer."""
    assert run("status").code == 0
    behind.break_off()
    begun = time.monotonic()
    ended = run(command, "--timeout", "0.5")
    assert time.monotonic() - begun < 0.5 + 2.0 + 1.5
    assert ended.code == 10
    assert "the journal did not answer within 0.5 s" in ended.err
    behind.mend()
