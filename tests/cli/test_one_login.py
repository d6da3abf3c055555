"""One login for many commands: shared unless they are told not to, forgotten by `auth logout`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from kept_tokens import age, entries, entry, fetched

if TYPE_CHECKING:
    from pathlib import Path

LIST = ("agentity", "list", "--json")


def test_commands_share_a_login(run, served, home):
    """Of any number, one logs in; and no secret is in what they print."""
    for _ in range(3):
        ended = run(*LIST)
        assert ended == (0, "[]\n", "")
    assert fetched(served) == ["login"]
    assert entry(home)["account"] == served.email
    age(home, 10_000)
    assert run(*LIST).code == 0
    assert fetched(served) == ["login", "refresh"]


def test_a_loose_umask_does_not_matter(start, served, home):
    """The folders are made for their owner alone; else nobody would trust them later."""
    ended = start(*LIST, umask=0o002).communicate(timeout=30)
    assert ended == ("[]\n", "")
    assert [folder.stat().st_mode & 0o777 for folder in (home, home / "tokens")] == [0o700] * 2
    assert entry(home)["account"] == served.email


@pytest.mark.slow
def test_twenty_commands_at_once_log_in_once_and_refresh_once(served, home):
    """From cold, and when the tokens are about to end; none fails."""

    def at_once() -> None:
        commands = [
            subprocess.Popen(
                [sys.executable, "-m", "agentkeys", *LIST],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _ in range(20)
        ]
        assert [command.communicate()[0] for command in commands] == ["[]\n"] * 20

    at_once()
    assert fetched(served) == ["login"]
    age(home, 10_000)
    at_once()
    assert fetched(served) == ["login", "refresh"]


@pytest.mark.parametrize(
    ("before", "after", "variable"),
    [((), ("--no-cache",), ""), (("--no-cache",), (), "0"), ((), (), "1"), ((), (), "true")],
)
def test_a_command_may_be_told_to_log_in(request, before, after, variable):
    """It keeps nothing, and uses nothing of what is kept."""
    run, served, home, monkeypatch = map(
        request.getfixturevalue, ("run", "served", "home", "monkeypatch")
    )
    monkeypatch.setenv("AGENTKEYS_NO_CACHE", variable)
    for _ in range(2):
        assert run(*before, *LIST, *after).code == 0
    assert fetched(served) == ["login", "login"]
    assert not entries(home)


@pytest.mark.parametrize("value", ["", "0"])
def test_the_variable_may_say_that_a_login_is_shared(run, served, monkeypatch, value):
    """As if it were not set."""
    monkeypatch.setenv("AGENTKEYS_NO_CACHE", value)
    for _ in range(2):
        assert run(*LIST).code == 0
    assert fetched(served) == ["login"]


def test_logout_forgets_the_account_of_the_command(run, served, home, background, monkeypatch):
    """It says whose login it was and where it lay; that of another account stays."""
    background.run(served.add_account("other@example.com", served.password))
    run(*LIST)
    monkeypatch.setenv("AGENTITY_EMAIL", "other@example.com")
    run(*LIST)
    kept = set(entries(home))
    ended = run("auth", "logout")
    [gone] = kept - set(entries(home))
    assert ended == (0, "", f"Forgot other@example.com at {served.url}: {gone}\n")
    assert run("auth", "logout") == (0, "", "No login is kept.\n")
    assert [path.suffix for path in (home / "tokens").iterdir()] == [".json"]
    assert run(*LIST).code == 0
    assert fetched(served) == ["login"] * 3


def test_logout_forgets_all_of_them_if_it_is_asked_to(run, served, home, monkeypatch):
    """What is torn, too, and what a killed process has left; no account need be named."""
    run(*LIST)
    [path] = entries(home)
    torn = path.with_name("0" * 32 + ".json")
    torn.write_text("{")
    left = path.with_name("1" * 32 + ".next")
    left.write_text('{"access_token": "x"')
    monkeypatch.delenv("AGENTITY_EMAIL")
    ended = run("auth", "logout", "--all", "--json")
    assert json.loads(ended.out) == [
        {"base_url": None, "account": None, "place": str(torn)},
        {"base_url": served.url, "account": served.email, "place": str(path)},
    ]
    assert list((home / "tokens").iterdir()) == []


def test_logout_wants_an_account(run):
    """Else it says how to name it."""
    ended = run("auth", "logout")
    assert ended.code == 2
    assert "set AGENTITY_EMAIL, or give --profile or --all" in ended.err


@pytest.mark.parametrize("more", [(), ("--all",)])
def test_logout_says_that_it_cannot_look(run, served, home, monkeypatch, more):
    """A folder that cannot be looked into may hold a login."""
    home.mkdir(mode=0o700)
    folder = home / ("x" * 300)
    monkeypatch.setenv("AGENTKEYS_HOME", str(folder))
    ended = run("auth", "logout", *more)
    assert ended.code == 2
    assert f"the tokens in {folder}" in ended.err
    assert "cannot be removed: File name too long" in ended.err


@pytest.mark.parametrize("more", [(), ("--all",)])
def test_logout_makes_no_folder(run, served, home, more):
    """Without a folder, no login is kept in a file."""
    assert run("auth", "logout", *more) == (0, "", "No login is kept.\n")
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_logout_says_what_it_cannot_remove(run, served, home):
    """Nothing in a folder of somebody else's is touched."""
    run(*LIST)
    [path] = entries(home)
    os.chown(home / "tokens", 12345, -1)
    ended = run("auth", "logout")
    assert ended.code == 2
    assert ended.err.endswith("it belongs to another user (uid 12345)\n")
    assert path.exists()


@pytest.mark.parametrize("cache", ["none", "file", None])
def test_a_profile_says_where_the_tokens_are_kept(run, served, home, monkeypatch, cache):
    """In a file if it says nothing; nowhere if it says so."""
    password = home.parent / "password"
    password.write_text(served.password)
    lines = [
        "[profiles.acme.agentity]",
        f'base_url = "{served.url}"',
        f'email = "{served.email}"',
        f'password_from = "file:{password}"',
        *([f'token_cache = "{cache}"'] if cache else []),
    ]
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("\n".join(lines))
    (home / "config.toml").chmod(0o600)
    for name in ("AGENTITY_BASE_URL", "AGENTITY_EMAIL", "AGENTITY_PASSWORD"):
        monkeypatch.delenv(name)
    for _ in range(2):
        ended = run(*LIST, "--profile", "acme")
        assert ended == (0, "[]\n", "")
    assert fetched(served) == ["login"] * (2 if cache == "none" else 1)
    assert len(entries(home)) == (0 if cache == "none" else 1)
    ended = run("auth", "logout", "--profile", "acme")
    assert ended.code == 0
    assert entries(home) == []


def test_a_local_service_shares_no_login(run, home: Path):
    """Its credentials are made anew each time."""
    assert run("--local", *LIST).code == 0
    assert not (home / "tokens").exists()


def test_a_login_that_cannot_be_kept_is_a_warning(run, served, home):
    """The command does its work; the warning is one line."""
    run(*LIST)
    [path] = entries(home)
    path.chmod(0o644)
    ended = run(*LIST)
    assert (ended.code, ended.out) == (0, "[]\n")
    assert ended.err == (
        f"the tokens of {served.email} cannot be kept in {path}, so this process logs in:"
        " others may read it (chmod go-rwx takes that away)\n"
    )
    assert run("auth", "logout").err == f"Forgot an unreadable login: {path}\n"
