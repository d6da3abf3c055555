"""`rotate`, `status` and `sweep`: a key is replaced, and the old one retires."""

from __future__ import annotations

import json
import os
import re

import attempt_files
import pytest
from rotations import BOT, SAVE, SECRET, WHERE, contents, keys, python, status

from agentkeys import AgentityClient, PasswordLogin
from agentkeys.server.faults import CREATES, Answer


@pytest.mark.parametrize(("service", "where"), WHERE.values(), ids=WHERE)
def test_a_key_is_replaced(place, env, service, where):
    """Both keys live; the store has the new secret, and the words say what to type and when."""
    old = place(service, "create", *where, "bot", *SAVE).out.strip()
    before = env()
    ended = place(service, "rotate", *where, "bot", *SAVE, "--grace", "1h")
    new = ended.out.strip()
    assert (ended.code, ended.err.count("\n")) == (0, 2)
    assert {str(each) for each in keys(place, service, where)} == {old, new}
    assert env() != before
    assert f"{new} (bot~" in ended.err
    assert "its secret is stored: KEY in " in ended.err
    assert re.search(
        rf"The old key {old} works until 20\d\d-.*Z: run `agentkeys (--local )?sweep`", ended.err
    )
    assert not SECRET.search(ended.out + ended.err)


@pytest.mark.parametrize(("service", "where"), WHERE.values(), ids=WHERE)
def test_what_is_deleted_is_kept_no_more(place, service, where):
    """The ledger forgets a key that the command deletes, and no other one."""
    old = place(service, "create", *where, "bot", *SAVE).out.strip()
    other = place(service, "create", *where, "other", *SAVE, "--replace").out.strip()
    place(service, "delete", *where, old, "--yes")
    assert [str(known["key_id"]) for known in status(place)["kept"]] == [other]


@pytest.mark.parametrize(("service", "where"), WHERE.values(), ids=WHERE)
def test_without_a_grace_the_old_key_is_deleted_at_once(place, env, service, where):
    """And the command says so."""
    old = place(service, "create", *where, "bot", *SAVE).out.strip()
    ended = place(service, "rotate", *where, "bot", *SAVE, "--grace", "0s")
    assert ended.code == 0
    assert f"The old key {old} was deleted." in ended.err
    assert [str(each) for each in keys(place, service, where)] == [ended.out.strip()]
    assert place("sweep") == (0, "", "")


def test_json(place, env):
    """The new key without its secret, its store, and what becomes of the old one."""
    old = json.loads(place("agentity", "create", "bot", *SAVE, "--json").out)
    ended = place(*BOT, "--json")
    shown = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert shown["replaced"]["id"] == old["id"]
    assert shown["retired"] is False
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT.*Z", shown["retires_at"])
    assert "key" not in shown
    assert shown["rotation"] == status(place)["retiring"][0]["id"]
    done = json.loads(place("sweep", "--force", "--json").out)
    assert (done["retired"], done["retiring"]) == ([old["id"]], [])


def test_status_needs_no_credentials(place, env, monkeypatch):
    """It shows what is kept, and what retires when; the journal is all that it asks."""
    assert place("status")[:2] == (0, "")
    old = int(place("agentity", "create", "bot", *SAVE).out)
    place("agentity", "create", "other", "--save", "dotenv:.env#OTHER")
    new = int(place(*BOT).out)
    for name in [name for name in os.environ if name.startswith("AGENTITY_")]:
        monkeypatch.delenv(name)
    found = status(place)
    [kept], [retiring] = found["kept"], found["retiring"]
    assert (kept["name"], kept["state"], found["under_way"]) == ("other", "kept", [])
    assert (retiring["key_id"], retiring["retires"]) == (new, old)
    assert (retiring["name"], retiring["scope"]["service"]) == ("bot", "Agentity")
    assert retiring["store"].startswith("dotenv:")
    table = place("status").out
    assert re.search(rf"bot +{new} +retiring +- +{old} +20", table)
    assert re.search(r"other +\d+ +kept +20", table)


def test_what_cannot_be_read_is_said_by_status(run, home):
    """A person must look."""
    (home / "keys").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    (home / "keys" / "0123456789abcdef.key").write_text("{}\n")
    (home / "keys" / "0123456789abcdef.key").chmod(0o600)
    ended = run("status")
    assert (ended.code, ended.out) == (4, "")
    assert "0123456789abcdef.key" in ended.err


def test_a_rotation_in_its_grace_is_under_way(run, bot):
    """A second one waits for it: the exit code says that, and the sentence what to type."""
    assert run(*BOT).code == 0
    ended = run(*BOT)
    assert (ended.code, ended.out) == (3, "")
    assert f"the key {bot} of 'bot' is being replaced already" in ended.err
    assert len(keys(run)) == 2


def test_sweep_says_what_retires_and_what_has(run, bot):
    """In the grace the exit code is 3; after it the old key is gone."""
    run(*BOT)
    waits = run("sweep")
    assert (waits.code, waits.out) == (3, "")
    assert re.fullmatch(
        rf"The key {bot}, which bot~\w{{6}} has replaced, works until 20.*Z: sweep again then.\n",
        waits.err,
    )
    done = run("sweep", "--force")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(rf"deleted {bot}, which bot~\w{{6}} has replaced\n", done.out)
    assert bot not in keys(run)


def test_a_dry_run_changes_nothing(run, served, bot, tmp_path):
    """Neither a file nor a key, and no program runs; what it says is what would be done."""
    run(*BOT, "--then", "false", "--grace", "0s")
    left = json.loads(run("agentity", "create", "left~k7f3q2", "--json").out)["id"]
    client = AgentityClient(PasswordLogin(served.email, "pw"), base_url=served.url)
    attempt_files.begin(client.api_keys.scope, "left~k7f3q2", "k7f3q2").release()
    before = contents(tmp_path), keys(run)
    ended = run("sweep", "--dry-run", "--then", python("open('told', 'w')"))
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("would delete") == 2
    assert (contents(tmp_path), keys(run)) == before
    done = run("sweep", "--then", python("open('told', 'w')"))
    assert (done.code, done.err) == (0, "")
    assert done.out.replace("deleted", "would delete") == ended.out
    assert f"deleted {left}\n" in done.out
    assert (tmp_path / "told").exists()
    assert {bot, left} & {*keys(run)} == set()


def test_without_a_ledger_the_old_key_must_be_named(run, served, env, tmp_path):
    """The sentence has the candidates; nothing is changed before."""
    made = json.loads(run("agentity", "create", "bot", "--json").out)
    (tmp_path / ".env").write_text(f"KEY={made['key']}\n")
    ended = run(*BOT)
    assert (ended.code, ended.out) == (4, "")
    assert f"it may be {made['id']} (bot)" in ended.err
    assert "--replaces ID" in ended.err
    assert (keys(run), env()) == ([made["id"]], made["key"])
    assert run(*BOT, "--replaces", str(made["id"])).code == 0
    assert env() != made["key"]


def test_what_fails_leaves_the_old_key_in_its_place(run, served, bot, env):
    """The service refuses: nothing is changed, and trying again may help."""
    before = env()
    served.faults.add(CREATES, Answer(403))
    ended = run(*BOT)
    assert (ended.code, ended.out, ended.err.count("\n")) == (6, "", 1)
    assert (keys(run), env()) == ([bot], before)
    assert run(*BOT).code == 0


def test_its_help_fits_one_screen(run, monkeypatch):
    """Of 80 columns and 24 lines."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("agentity", "rotate", "--help").out.splitlines()
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 80


def test_a_key_that_signs_in_is_replaced_in_its_store(run, served, monkeypatch):
    """The command reads its key from the store, replaces it there, and goes on with the new one."""
    run("agentry", "create", "--tenant", "ops", *SAVE)
    monkeypatch.delenv("AGENTRY_API_KEY")
    monkeypatch.setenv("AGENTRY_API_KEY_FROM", SAVE[1])
    rotate = ("agentry", "rotate", "--tenant", "ops", *SAVE)
    ended = run(*rotate, "--grace", "0s")
    assert ended.code == 0
    assert str(ended.out.strip()) in [str(each) for each in keys(run, "agentry", ["--tenant"])]
    ended = run(*rotate)
    assert ended.code == 0
    monkeypatch.setenv("AGENTRY_API_KEY_FROM", "command:cat")
    assert "write-only" in run("agentry", "list", "--tenant").err
