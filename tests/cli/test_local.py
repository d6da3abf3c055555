"""--local: both services on this machine, whose data stays."""

from __future__ import annotations

import json
import os
import stat

import pytest


def test_data_is_kept_across_commands(run):
    """What one command makes, the next one finds, and a served --local as well."""
    run("--local", "agentity", "create", "a")
    run("--local", "agentry", "create", "demo@agentkeys.local", "b")
    assert [
        key["nickname"] for key in json.loads(run("--local", "agentity", "list", "--json").out)
    ] == ["a"]
    listed = run("--local", "agentry", "list", "demo@agentkeys.local", "--json")
    assert [key["name"] for key in json.loads(listed.out)] == ["b"]
    run("--local", "agentry", "create", "--pod", "demo", "c")
    listed = run("--local", "agentry", "list", "--pod", "demo", "--json")
    assert [key["name"] for key in json.loads(listed.out)] == ["c"]


def test_two_commands_at_once(start):
    """Commands that run at once on one database all succeed, the first use included."""
    processes = [start("--local", "agentity", "create", f"agent-{n}", "--json") for n in range(3)]
    ended = [process.communicate(timeout=30) for process in processes]
    assert [err for _, err in ended] == [""] * 3
    assert {json.loads(out)["id"] for out, _ in ended} == {1, 2, 3}


def test_the_database_is_private(run, home):
    """The folder has mode 0700 and the database 0600, whatever the umask is."""
    before = os.umask(0)
    try:
        run("--local", "agentity", "list")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert modes == {"local.db": 0o600}


@pytest.mark.skipif(os.name != "posix", reason="other systems have other folders")
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_a_home_it_is_the_data_directory(run, tmp_path, monkeypatch, value):
    """Without AGENTKEYS_HOME the data lies where the system keeps users' data."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if value is None:
        monkeypatch.delenv("AGENTKEYS_HOME")
    else:
        monkeypatch.setenv("AGENTKEYS_HOME", value)
    run("--local", "agentity", "create", "a")
    assert list(tmp_path.rglob("agentkeys/local.db"))


def test_a_home_that_cannot_be(run, home):
    """A home that is a file, or lies in one, is one line that says what to set."""
    home.write_text("a file")
    ended = run("--local", "agentity", "list")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "AGENTKEYS_HOME" in ended.err
    assert home.read_text() == "a file"


def test_a_database_that_is_none(run, home):
    """A file that is no database is one line, and is left as it is."""
    home.mkdir()
    (home / "local.db").write_text("not a database" * 100)
    ended = run("--local", "agentity", "list")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert (home / "local.db").read_text() == "not a database" * 100


def test_the_environment_does_not_matter(run, monkeypatch):
    """--local uses its own account and address, whatever the environment says."""
    monkeypatch.setenv("AGENTITY_ACCESS_TOKEN", "not a token")
    monkeypatch.setenv("AGENTITY_BASE_URL", "http://example.com")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert run("--local", "agentity", "list", "--json") == (0, "[]\n", "")


def test_an_inbox_that_is_not_there(run):
    """There is the inbox demo@agentkeys.local and the pod demo, and no other."""
    assert "404" in run("--local", "agentry", "list", "other@agentkeys.local").err
    assert "404" in run("--local", "agentry", "list", "--pod", "other").err
