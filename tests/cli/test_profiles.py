"""Accounts by name: which one a command uses, and how they are added, chosen and removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentkeys import PasswordLogin, sync
from agentkeys.cli.ground.codes import CODES, CredentialsError
from agentkeys.errors import ProfileError
from agentkeys.server import LocalService

SERVICES = ["agentity", "agentry"]
each = pytest.mark.parametrize("service", SERVICES)


@pytest.fixture
def two(background, tmp_path, run) -> dict[str, LocalService]:
    """Two local services, each of which a profile names."""
    services = {name: background.enter(LocalService()) for name in ("one", "other")}
    for name, service in services.items():
        for kind, secret in (("token", service.agentry_token), ("password", service.password)):
            (tmp_path / f"{name}-{kind}").write_text(secret)
        url = ["--base-url", service.url]
        agentity = ["--email", service.email, "--from", f"file:{name}-password", *url]
        assert run("profile", "add", name, "agentity", *agentity).code == 0
        agentry = ["--from", f"file:{name}-token", "--tenant", *url]
        assert run("profile", "add", name, "agentry", *agentry).code == 0
    return services


def listed(run: Any, *words: str) -> list[str]:
    ended = run(*words, "list", "--json")
    assert ended.code == 0, ended.err
    return [key.get("nickname") or key["name"] for key in json.loads(ended.out)]


@pytest.mark.usefixtures("two")
@each
def test_two_profiles_are_two_accounts(run, service, monkeypatch):
    """Before the service or behind the command, or by a variable, or as the default."""
    assert run("--profile", "one", service, "create", "of-one").code == 0
    assert run(service, "create", "of-other", "--profile", "other").code == 0
    assert listed(run, "--profile", "one", service) == ["of-one"]
    monkeypatch.setenv("AGENTKEYS_PROFILE", "other")
    assert listed(run, service) == ["of-other"]
    assert listed(run, "--profile", "one", service) == ["of-one"]
    monkeypatch.delenv("AGENTKEYS_PROFILE")
    assert run("profile", "use", "other").code == 0
    assert listed(run, service) == ["of-other"]
    assert run("profile", "use", "--none").code == 0
    ended = run(service, "list", *(["--tenant"] if service == "agentry" else []))
    assert (ended.code, "agentkeys profile add" in ended.err) == (CODES[CredentialsError], True)


@pytest.mark.usefixtures("two")
def test_processes_use_what_a_process_has_written(start):
    """The real program, one process after the other."""
    for words in (["profile", "use", "one"], ["agentity", "create", "bot"], ["agentity", "list"]):
        process = start(*words)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    assert "bot" in out


@pytest.mark.usefixtures("two")
def test_processes_that_add_at_once_lose_nothing(start, run):
    """Each reads what the one before has written."""
    adding = [start("profile", "add", f"p{n}", "agentry", "--from", "file:x") for n in range(8)]
    assert [process.wait(30) for process in adding] == [0] * 8
    names = {row["profile"] for row in json.loads(run("profile", "list", "--json").out)}
    assert names == {"one", "other", *(f"p{n}" for n in range(8))}


@pytest.mark.usefixtures("two")
def test_variables_win_over_the_default(run, served):
    """Somebody has said what is meant here and now; both are never mixed."""
    run("profile", "use", "one")
    run("--profile", "one", "agentity", "create", "of-one")
    assert listed(run, "agentity") == []


@pytest.mark.usefixtures("two", "served")
@each
def test_an_explicit_profile_wins_over_variables(run, service):
    """Even over the address that one of them has."""
    run("--profile", "one", service, "create", "of-one")
    assert listed(run, "--profile", "one", service) == ["of-one"]


@pytest.mark.usefixtures("two", "served")
def test_a_variable_against_a_variable_is_refused(run, monkeypatch):
    """Nothing is sent: which account is meant nobody can know."""
    monkeypatch.setenv("AGENTKEYS_PROFILE", "one")
    ended = run("agentry", "list", "--tenant")
    assert (ended.code, ended.out) == (2, "")
    assert "AGENTKEYS_PROFILE and AGENTRY_API_KEY and AGENTRY_BASE_URL are set" in ended.err


@pytest.mark.usefixtures("two")
def test_local_is_nobodys_profile(run, monkeypatch):
    """Nor does a variable or the default have a say there."""
    assert run("--local", "--profile", "one", "agentity", "list").code == 2
    monkeypatch.setenv("AGENTKEYS_PROFILE", "missing")
    assert run("--local", "agentity", "list").code == 0


@pytest.mark.usefixtures("two")
def test_the_place_of_a_profile_is_meant_if_a_command_names_none(run, two):
    """An inbox as well as the tenant; an option names another place."""
    [inbox] = {service.inbox_id for service in two.values()}
    url = ["--base-url", two["one"].url]
    where = ["--inbox", inbox, "--replace", "--from", "file:one-token", *url]
    assert run("profile", "add", "one", "agentry", *where).code == 0
    agentry = ["--profile", "one", "agentry"]
    made = run(*agentry, "create", "here", "too", "--json")
    assert {json.loads(line)["inbox_id"] for line in made.out.splitlines()} == {inbox}
    run(*agentry, "create", "--tenant", "everywhere")
    assert sorted(listed(run, *agentry)) == ["here", "too"]
    assert run(*agentry, "delete", "too").code == 0
    assert json.loads(run(*agentry, "list", "--tenant", "--json").out)[0]["name"] == "everywhere"
    refused = run(*agentry, "create", "support@acme.to", "ci")
    assert (refused.code, "--inbox to name another one" in refused.err) == (2, True)


@pytest.mark.usefixtures("two")
def test_a_hint_names_the_profile(run):
    """What a command says to type next does the same account."""
    made = json.loads(run("--profile", "one", "agentry", "create", "ops", "--json").out)
    Path("ops.env").write_text(f"OPS={made['api_key']}\n")
    Path("ops.env").chmod(0o600)
    id_, save = made["api_key_id"], "dotenv:ops.env#OPS"
    ended = run("--profile", "one", "agentry", "adopt", id_, "--save", save)
    assert "agentkeys --profile one agentry rotate --tenant ops --save" in ended.err
    rotated = run("--profile", "one", "agentry", "rotate", "ops", "--save", save)
    assert "`agentkeys --profile one sweep`" in rotated.err
    swept = run("--profile", "one", "sweep", "--force")
    assert (swept.code, "deleted" in swept.out) == (0, True), swept.err


@each
def test_a_missing_profile_names_those_that_exist(run, two, service):
    """With the code of a wrong configuration."""
    ended = run("--profile", "three", service, "list")
    assert ended.code == 2
    assert "no profile 'three' in" in ended.err
    assert "there are one, other" in ended.err
    in_json = run("--profile", "three", service, "list", "--json")
    assert json.loads(in_json.err)["type"] == ProfileError.__name__


@pytest.mark.usefixtures("two")
@each
def test_a_store_that_is_empty_is_named(run, service, tmp_path):
    """And nothing is sent."""
    for kind in ("token", "password"):
        (tmp_path / f"one-{kind}").write_text("")
    ended = run("--profile", "one", service, "list")
    assert ended.code == 2
    assert f"one-{'token' if service == 'agentry' else 'password'}" in ended.err


@pytest.mark.usefixtures("two")
def test_a_file_that_others_can_write_is_refused(run, home):
    """By each command that would read it, and by those that would write it."""
    (home / "config.toml").chmod(0o666)
    for words in (["agentity", "list", "--profile", "one"], ["profile", "use", "one"]):
        ended = run(*words)
        assert (ended.code, "others may write to it" in ended.err) == (2, True)
    assert (home / "config.toml").stat().st_mode & 0o777 == 0o666


def test_the_file_is_for_its_owner_alone_and_has_no_secret(run, two, home):
    """Whatever the umask is."""
    code = "import os; os.umask(0); from agentkeys.cli import commands; commands.main()"
    words = ["profile", "add", "x", "agentity", "--email", "me@acme.to", "--from", "keyring:a#b"]
    done = subprocess.run([sys.executable, "-c", code, *words], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert (home / "config.toml").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    text = (home / "config.toml").read_text()
    assert not [s for s in two.values() if s.password in text or s.agentry_token in text]


def test_comments_stay(run, home):
    """What somebody has written by hand is his."""
    run("profile", "add", "a", "agentry", "--from", "file:/a")
    path = home / "config.toml"
    path.write_text(f"# mine\n\n{path.read_text()}# the last line\n")
    run("profile", "add", "b", "agentry", "--from", "file:/b", "--use")
    run("profile", "add", "b", "agentity", "--email", "b@acme.to", "--from", "file:/c")
    run("profile", "remove", "a")
    run("profile", "add", "b", "agentry", "--from", "file:/d", "--replace")
    lines = [line for line in path.read_text().splitlines() if line]
    assert lines == [
        'default = "b"',
        "# mine",
        "# the last line",
        "[profiles.b.agentity]",
        'email = "b@acme.to"',
        'password_from = "file:/c"',
        "[profiles.b.agentry]",
        'token_from = "file:/d"',
    ]


def test_what_is_written_in_another_way_is_left_alone(run, home):
    """What cannot be changed line by line is not changed at all."""
    text = 'profiles = { a = { agentry = { token_from = "file:/a" } } }\n'
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(text)
    ended = run("profile", "remove", "a")
    assert (ended.code, "edit it by hand" in ended.err) == (2, True)
    assert (home / "config.toml").read_text() == text


def test_a_profile_is_replaced_only_if_it_is_said(run):
    """Else the secret of another account would be lost sight of."""
    words = ["profile", "add", "a", "agentry", "--from"]
    assert run(*words, "file:/one").code == 0
    assert "--replace" in run(*words, "file:/two").err
    assert run(*words, "file:/two", "--replace").code == 0
    [row] = json.loads(run("profile", "list", "--json").out)
    assert row["token_from"] == "file:/two"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a", "agentry", "--from", "hunter2"], "must be the address of a store"),
        (["a", "agentry", "--from", "hunter2:horse"], "does not name a usable store"),
        (["a", "agentry", "--from", "command:cat hunter2"], "a program is not"),
        (["a", "agentry", "--from", "memory:hunter2"], "is empty when the next command"),
        (["a", "agentry"], "give --from"),
        (["a", "agentry", "--email", "me@acme.to"], "agentry has no login"),
        (["a", "agentity", "--email", "a", "--base-url", "https://u:hunter2@x"], "without a user"),
        (["a/b", "agentry", "--from", "file:/a"], "a character that is not allowed"),
        (["a", "agentry", "--from", "file:/a", "--tenant", "--pod", "p"], "one of inbox, pod and"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_right_is_not_written(run, home, words, sentence):
    """In a sentence, without what may be a secret."""
    ended = run("profile", "add", *words)
    assert (ended.code, sentence in ended.err) == (2, True), ended.err
    assert "hunter2" not in ended.err
    assert not (home / "config.toml").exists()


def test_what_a_store_needs_may_come_later(run, monkeypatch):
    """The profile is written, and the sentence says what is missing."""
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    ended = run("profile", "add", "a", "agentry", "--from", "kubernetes:ops/agentry#key")
    assert ended.code == 0
    assert "kubeconfig" in ended.err
    [row] = json.loads(run("profile", "list", "--json").out)
    assert row["token_from"] == "kubernetes:ops/agentry#key"


def test_addresses_mean_the_same_in_every_folder(run, tmp_path):
    """A relative path is written as the full one."""
    run("profile", "add", "a", "agentry", "--from", "file:key")
    [row] = json.loads(run("profile", "list", "--json").out)
    assert row["token_from"] == f"file:{tmp_path}/key"


@pytest.mark.usefixtures("two")
def test_the_last_account_takes_the_default_along(run):
    """A default that is not there would be refused by every command."""
    run("profile", "use", "one")
    left = json.loads(run("profile", "remove", "one", "agentity", "--json").out)
    assert left["default"] == "one"
    assert json.loads(run("profile", "remove", "one", "--json").out)["default"] is None
    assert "no profile 'one'" in run("profile", "remove", "one").err


def test_an_email_alone_asks_for_the_password(terminal, two, run):
    """As the variable alone does, on a terminal; a program is told what is missing."""
    service = two["one"]
    where = ["--email", service.email, "--base-url", service.url]
    run("profile", "add", "asks", "agentity", *where)
    ended = run("--profile", "asks", "agentity", "list")
    assert (ended.code, "no password_from" in ended.err) == (2, True)
    asked = terminal("--profile", "asks", "agentity", "list")
    asked.read_until(f"Password of {service.email}: ")
    asked.type(f"{service.password}\n")
    assert asked.end()[0] == 0


@pytest.mark.usefixtures("two")
def test_a_shell_completes_names(start, monkeypatch):
    """Wherever a profile is named; nothing if the file cannot be used."""
    monkeypatch.setenv("_AGENTKEYS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_CWORD", "2")
    for words in ("agentkeys --profile o", "agentkeys agentity list --profile o"):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
        out, _ = start().communicate(timeout=30)
        assert out.split() == ["plain,one", "plain,other"]
    (Path(os.environ["AGENTKEYS_HOME"]) / "config.toml").chmod(0o666)
    assert start().communicate(timeout=30) == ("\n", "")


def test_a_client_takes_what_the_command_has_written(two):
    """One file for both."""
    with sync.AgentityClient(profile="one") as client:
        client.api_keys.create("bot")
    login = PasswordLogin(two["one"].email, two["one"].password)
    with sync.AgentityClient(login, base_url=two["one"].url) as client:
        assert [key.name for key in client.api_keys.list()] == ["bot"]
