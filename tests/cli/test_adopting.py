"""`adopt` and `abort`: a key is taken in, and a rotation is taken back."""

from __future__ import annotations

import json
import shlex
import sys

import pytest
from rotations import BOT, SAVE, SECRET, WHERE, keys, status


@pytest.mark.parametrize(("service", "where"), WHERE.values(), ids=WHERE)
def test_a_key_is_adopted_and_what_is_printed_can_be_typed(place, env, tmp_path, service, where):
    """The line that replaces it next is in the sentence."""
    made = json.loads(place(service, "create", *where, "by hand", "--json").out)
    key_id = str(made.get("id", made.get("api_key_id")))
    (tmp_path / ".env").write_text(f"KEY={made.get('key', made.get('api_key'))}\n")
    ended = place(service, "adopt", *where, key_id, *SAVE)
    assert (ended.code, ended.out) == (0, "")
    assert not SECRET.search(ended.err)
    line = shlex.split(ended.err.partition("To replace it: agentkeys ")[2])
    assert place(*[word for word in line if word != "--local"]).code == 0
    assert f'"retires": {json.dumps(made.get("id", key_id))}' in place("status", "--json").out


def test_adopting_what_is_not_so(run, bot, env):
    """A key that is not there, and a store without a secret; nothing is remembered."""
    before = status(run)
    ended = run("agentity", "adopt", "99", *SAVE)
    assert (ended.code, ended.err.count("\n")) == (4, 1)
    assert "the key 99 was not adopted" in ended.err
    ended = run("agentity", "adopt", str(bot), "--save", "dotenv:.env#OTHER", "--name", "x")
    assert ended.code == 4
    assert "there is no secret in" in ended.err
    assert status(run) == before


def test_adopt_in_json_with_a_name(run, bot):
    """It is what status shows."""
    shown = json.loads(run("agentity", "adopt", str(bot), *SAVE, "--name", "worker", "--json").out)
    assert (shown["name"], shown["key_id"]) == ("worker", bot)
    assert shown in status(run)["kept"]


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Put text on standard input."""

    def given(text):
        (tmp_path / "stdin").write_text(text)
        monkeypatch.setattr(sys, "stdin", (tmp_path / "stdin").open())

    yield given
    sys.stdin.close()


@pytest.mark.parametrize(("service", "where"), WHERE.values(), ids=WHERE)
def test_a_rotation_is_taken_back(place, env, given, service, where):
    """The old secret comes on standard input, with the line end that `echo` adds."""
    old_id = place(service, "create", *where, "bot", *SAVE).out.strip()
    old = env()
    new_id = place(service, "rotate", *where, "bot", *SAVE).out.strip()
    given(f"{old}\n")
    ended = place(service, "abort", *where, "bot")
    assert (ended.code, ended.out) == (0, f"deleted {new_id}\n")
    assert ([str(each) for each in keys(place, service, where)], env()) == ([old_id], old)
    assert old not in ended.err
    assert place("sweep") == (0, "", "")


@pytest.mark.parametrize("which", ["new", "wrong", "none"])
def test_a_rotation_is_taken_back_with_the_old_secret_alone(run, bot, env, given, which):
    """With any other one the store would hold the secret of a key that is gone."""
    run(*BOT)
    before = env(), keys(run)
    given({"new": env(), "wrong": "agk_live_0123456789abcdefghijklmnop", "none": ""}[which])
    ended = run("agentity", "abort", "bot")
    assert (ended.code, ended.out, ended.err.count("\n")) == (4, "", 1)
    assert "was not aborted" in ended.err
    assert (env(), keys(run)) == before
    assert run("sweep").code == 3


def test_on_a_terminal_the_old_secret_is_asked_for(run, bot, env, terminal):
    """And not shown as it is typed."""
    old = env()
    new = int(run(*BOT).out)
    asked = terminal("agentity", "abort", "bot")
    asked.read_until(f"The old secret, of the key {bot}: ")
    asked.type(f"{old}\n")
    code, shown = asked.end()
    assert code == 0
    assert f"deleted {new}" in shown
    assert old not in shown
    assert (keys(run), env()) == ([bot], old)


def test_nothing_to_take_back(run, bot):
    """Standard input is not read for it."""
    ended = run("agentity", "abort", "bot", "--json")
    assert (ended.code, ended.out) == (4, "")
    assert "no rotation of 'bot' is unfinished" in ended.err
