"""`agentkeys faults` and `agentkeys clock` control a service that `agentkeys serve` runs."""

from __future__ import annotations

import json
import socket

import pytest

pytestmark = pytest.mark.slow

TOKEN = "S3NT1NEL-admin-token"


@pytest.fixture
def served_elsewhere(start, monkeypatch):
    """A service with an admin port, in a process of its own."""
    monkeypatch.setenv("AGENTKEYS_ADMIN_TOKEN", TOKEN)
    process = start("serve", "--json", "--admin-port", "0", "--record-bodies")
    service = json.loads(process.stdout.readline())
    assert service["admin_token"] == TOKEN
    monkeypatch.setenv("AGENTKEYS_ADMIN_URL", service["admin_url"])
    monkeypatch.setenv("AGENTRY_BASE_URL", service["url"])
    monkeypatch.setenv("AGENTRY_API_KEY", service["agentry_token"])
    return service


def test_faults(run, served_elsewhere):
    """They are added, met, listed and cleared."""
    assert run("faults", "list") == (0, "", "")
    answer = ["Answer", "status=400", 'body={"message": "no"}']
    added = run("faults", "add", "LISTS & AGENTRY", *answer, "--times", "2", "--json")
    fault = json.loads(added.out)
    assert (fault["kind"], fault["times"], fault["with"]) == ("Answer", 2, {"status": 400})
    assert run("agentry", "list", "--tenant").code == 1
    ended = run("faults", "add", "CREATES", "Delay", "seconds=inf", "--when", "after")
    assert "Delay(seconds=inf) after DELETE" not in ended.err
    assert (ended.code, ended.out) == (0, "")
    shown = run("faults", "list").out.splitlines()
    assert len(shown) == 2
    assert "1 hits" in shown[0]
    cleared = run("faults", "clear", str(fault["id"]), "--json").out
    assert json.loads(cleared) == {"cleared": [fault["id"]]}
    assert len(run("faults", "list").out.splitlines()) == 1
    assert run("faults", "clear").code == 0
    assert json.loads(run("faults", "list", "--json").out) == []
    assert run("agentry", "list", "--tenant").code == 0
    assert "Delay [seconds (float)]: Answer normally" in run("faults", "kinds").out


def test_the_clock(run, served_elsewhere):
    """It is shown and moved."""
    assert run("clock", "set", "2030-01-01T00:00:00Z").out.startswith("2030-01-01T00:00:0")
    assert run("clock", "advance", "24h").out.startswith("2030-01-02T00:00:0")
    now = json.loads(run("clock", "show", "--json").out)["now"]
    assert now.startswith("2030-01-02")
    assert not run("clock", "reset").out.startswith("2030")


@pytest.mark.parametrize(
    "line",
    [
        ["faults", "add", "CREATES", "Rest"],
        ["faults", "add", "CREATES", "Delay", "seconds"],
        ["faults", "add", "CREATES", "Reset", "--times", "0"],
        ["clock", "set", "tomorrow"],
        ["clock", "advance", "1"],
    ],
    ids=" ".join,
)
def test_wrong_usage(run, served_elsewhere, line):
    """Ends with 2 and a sentence."""
    ended = run(*line)
    assert (ended.code, ended.out) == (2, "")


@pytest.mark.parametrize(
    ("variable", "value", "code", "sentence"),
    [
        ("AGENTKEYS_ADMIN_URL", "", 2, "AGENTKEYS_ADMIN_URL"),
        ("AGENTKEYS_ADMIN_URL", "http://evil.test", 2, "on this machine"),
        ("AGENTKEYS_ADMIN_URL", "http://u:S3NT1NEL@127.0.0.1", 2, "on this machine"),
        ("AGENTKEYS_ADMIN_URL", "http://127.0.0.1:x", 2, "on this machine"),
        ("AGENTKEYS_ADMIN_TOKEN", "", 6, "AGENTKEYS_ADMIN_TOKEN"),
        ("AGENTKEYS_ADMIN_TOKEN", "S3NT1NEL\nX: y", 6, "AGENTKEYS_ADMIN_TOKEN"),
        ("AGENTKEYS_ADMIN_TOKEN", "S3NT1NEL-another-token", 6, "invalid"),
    ],
)
def test_an_admin_port_that_cannot_be_used(
    run, served_elsewhere, monkeypatch, *, variable, value, code, sentence
):
    """Ends with its code and a sentence without a secret; the token never leaves this machine."""
    monkeypatch.setenv(variable, value)
    ended = run("faults", "list")
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert sentence in ended.err
    assert "S3NT1NEL" not in ended.err


def test_an_admin_port_that_is_not_there(run, monkeypatch):
    """Is said."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AGENTKEYS_ADMIN_TOKEN", TOKEN)
    monkeypatch.setenv("AGENTKEYS_ADMIN_URL", f"http://localhost:{port}")
    ended = run("clock", "show")
    assert (ended.code, ended.out) == (10, "")
    assert "cannot reach the admin port" in ended.err


@pytest.mark.parametrize("how", [["--quiet"], ["--quiet", "--json"]])
def test_its_token_lands_in_no_log(start, monkeypatch, how):
    """No more than the password does."""
    monkeypatch.setenv("AGENTKEYS_ADMIN_TOKEN", TOKEN)
    process = start("serve", "--admin-port", "0", *how)
    shown = ""
    while "demo" not in shown:
        shown += process.stdout.readline()
    assert "http://127.0.0.1" in shown
    assert TOKEN not in shown
