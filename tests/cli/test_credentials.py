"""Commands read their credentials from stores, if the environment names one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agentkeys.stores import open_store

OPS = "dotenv:.env#OPS"


@pytest.fixture
def stored(served, tmp_path, monkeypatch) -> Path:
    """Let the environment name files instead of holding secrets."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("AGENTITY_PASSWORD", "AGENTRY_API_KEY"):
        (folder / name).write_text(os.environ[name])
        monkeypatch.delenv(name)
        monkeypatch.setenv(f"{name}_FROM", f"file:{folder / name}")
    return folder


@pytest.mark.parametrize("command", [["agentity"], ["agentry", "demo@agentkeys.local"]])
def test_a_command_signs_in_with_what_a_store_holds(run, stored, command):
    """To make a key, and to list the keys."""
    service, *where = command
    made = run(service, "create", *where, "bot", "--json")
    assert made.code == 0, made.err
    [key] = json.loads(run(service, "list", *where, "--json").out)
    assert key["created_at"] == json.loads(made.out)["created_at"]


def test_the_key_that_signs_in_is_replaced(run, served, monkeypatch):
    """It is read from the store that gets its successor, and the next command goes on with that."""
    old = run("agentry", "create", "--tenant", "ops", "--save", OPS).out.strip()
    monkeypatch.delenv("AGENTRY_API_KEY")
    monkeypatch.setenv("AGENTRY_API_KEY_FROM", OPS)
    for grace in ("1h", "0s"):
        ended = run("agentry", "rotate", "--tenant", "ops", "--save", OPS, "--grace", grace)
        assert ended.code == 0, ended.err
        if grace == "1h":
            assert run("sweep", "--force").code == 0
        old = ended.out.strip()
        [key] = json.loads(run("agentry", "list", "--tenant", "--json").out)
        assert key["api_key_id"] == old


@pytest.mark.parametrize("held", ["AGENTRY_API_KEY", "AGENTRY_API_KEY_FROM"])
def test_a_key_that_is_read_from_elsewhere_is_not_replaced(
    run, served, tmp_path, monkeypatch, held
):
    """The command would lock itself out; it says how to go about it."""
    run("agentry", "create", "--tenant", "ops", "--save", OPS)
    secret = _read(OPS)
    Path("copy").write_text(secret)
    monkeypatch.delenv("AGENTRY_API_KEY")
    monkeypatch.setenv(held, "file:copy" if held.endswith("_FROM") else secret)
    ended = run("agentry", "rotate", "--tenant", "ops", "--save", OPS)
    assert (ended.code, ended.out) == (4, "")
    assert "lock itself out" in ended.err
    assert "a variable that ends in _FROM and holds that address" in ended.err
    assert secret not in ended.err
    assert _read(OPS) == secret


def test_an_audit_does_not_delete_the_key_that_it_reads_from_a_store(
    run, served, tmp_path, monkeypatch
):
    """It needs the key before it knows that."""
    made = json.loads(run("agentry", "create", "--tenant", "ops", "--json").out)
    (tmp_path / "ops").write_text(made["api_key"])
    monkeypatch.delenv("AGENTRY_API_KEY")
    monkeypatch.setenv("AGENTRY_API_KEY_FROM", f"file:{tmp_path / 'ops'}")
    ended = run("audit", "agentry", "--unused-for", "0s", "--fix", "--yes")
    assert "delete the key 'ops'" in ended.err
    assert "this command uses that key as its token" in ended.err
    assert made["api_key_id"] in run("agentry", "list", "--tenant").out


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (
            "ag_S3NT1NELsecret",
            "AGENTRY_API_KEY_FROM does not name a usable store: that is not the address of a store",
        ),
        ("command:touch ran", "AGENTRY_API_KEY_FROM names a write-only store"),
        ("file:nothing-here", "there is no token in"),
    ],
)
@pytest.mark.usefixtures("served")
def test_what_cannot_be_read_is_a_sentence(run, monkeypatch, value, says):
    """One line, which does not show what may be a secret; and no program is run."""
    monkeypatch.delenv("AGENTRY_API_KEY")
    monkeypatch.setenv("AGENTRY_API_KEY_FROM", value)
    for verbose in ([], ["-v"]):
        ended = run("agentry", "list", "--tenant", *verbose)
        assert (ended.code, ended.out) == (2, "")
        assert says in ended.err
        assert "S3NT1NEL" not in ended.err
    assert not Path("ran").exists()


def test_both_variables(run, served, monkeypatch):
    """None of them wins."""
    monkeypatch.setenv("AGENTITY_PASSWORD_FROM", "file:x")
    ended = run("agentity", "list")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "AGENTITY_PASSWORD and AGENTITY_PASSWORD_FROM are set: unset all but one" in ended.err


@pytest.mark.parametrize(
    ("service", "says"),
    [
        (["agentity"], "set AGENTITY_PASSWORD_FROM or AGENTITY_ACCESS_TOKEN_FROM to the address"),
        (["agentry"], "set AGENTRY_API_KEY_FROM to the address of a store"),
    ],
)
def test_without_credentials_it_names_these_variables(run, service, says):
    """And its help does."""
    ended = run(*service, "list", *(["--tenant"] if service == ["agentry"] else []))
    assert (ended.code, ended.err.count("\n")) == (6, 1)
    assert says in ended.err
    helps = " ".join(run(*service, "--help").out.split())
    assert "_FROM names a store" in helps


def test_no_password_is_asked_for_that_a_store_holds(terminal, stored):
    """On a terminal, with an email."""
    code, shown = terminal("agentity", "list", "--json").end()
    assert (code, shown.splitlines()[-1]) == (0, "[]")
    assert "Password of" not in shown


def _read(address: str) -> Any:
    import asyncio

    held = asyncio.run(open_store(address).read()).secret
    assert held is not None
    return held.reveal()
