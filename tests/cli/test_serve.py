"""`agentkeys serve`: both services in the foreground."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
from urllib.parse import urlsplit

import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_serving_in_json(start, run, monkeypatch, number):
    """One line of JSON when it is ready, then silence; SIGINT and SIGTERM end it with 0."""
    process = start("serve", "--json")
    service = json.loads(process.stdout.readline())
    assert service.keys() == {"url", "email", "password", "agentry_token", "inbox_id"}
    monkeypatch.setenv("AGENTITY_EMAIL", service["email"])
    monkeypatch.setenv("AGENTITY_PASSWORD", service["password"])
    monkeypatch.setenv("AGENTRY_API_KEY", service["agentry_token"])
    at = ["--base-url", service["url"]]
    assert run("agentity", "create", "a", *at).code == 0
    assert run("agentry", "create", service["inbox_id"], "b", *at).code == 0
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_what_is_printed_for_people_can_be_sourced(start, run):
    """The text form is shell commands, after which every command works in another shell."""
    process = start("serve")
    lines = iter(process.stdout.readline, "")
    script = ""
    for line in lines:
        script += line
        if line.startswith("# Agentry's inbox"):
            break
    names = [
        "AGENTITY_BASE_URL",
        "AGENTITY_EMAIL",
        "AGENTITY_PASSWORD",
        "AGENTRY_BASE_URL",
        "AGENTRY_API_KEY",
    ]
    shown = " ".join(f'"${name}"' for name in names)
    sourced = subprocess.run(
        ["/bin/sh", "-c", f"{script}\nprintf '%s\\n' {shown}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zip(names, sourced.stdout.splitlines(), strict=True):
            patch.setenv(name, value)
        assert run("agentity", "list", "--json") == (0, "[]\n", "")
        assert run("agentry", "list", "demo@agentkeys.local", "--json") == (0, "[]\n", "")


def test_a_port_in_use(run):
    """A port in use is one sentence and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("serve", "--port", str(port))
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert str(port) in ended.err
    assert "in use" in ended.err


def test_a_database_is_kept(start, tmp_path):
    """--database takes a path or an address, and every start shows the same account."""
    shown = []
    for database in ("keys.db", "sqlite:///keys.db"):
        process = start("serve", "--json", "--database", database)
        shown.append({**json.loads(process.stdout.readline()), "url": None})
        process.terminate()
        process.wait(30)
    assert shown[0] == shown[1]
    assert (tmp_path / "keys.db").exists()


def test_serving_what_local_uses(start, run, monkeypatch):
    """`agentkeys --local serve` serves the data of --local."""
    run("--local", "agentity", "create", "a")
    service = json.loads(start("--local", "serve", "--json").stdout.readline())
    monkeypatch.setenv("AGENTITY_EMAIL", service["email"])
    monkeypatch.setenv("AGENTITY_PASSWORD", service["password"])
    listed = run("agentity", "list", "--json", "--base-url", service["url"])
    assert [key["nickname"] for key in json.loads(listed.out)] == ["a"]


@pytest.mark.parametrize("database", ["nowhere/keys.db", "postgres://me:hunter2@host/db"])
def test_a_database_that_cannot_be(run, database):
    """A database that cannot be used is one sentence, which repeats no password."""
    ended = run("serve", "--database", database)
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "hunter2" not in ended.err


@pytest.mark.parametrize(
    ("host", "status"), [("keys.test", 200), ("KEYS:80", 200), ("x.test", 403)]
)
def test_hosts_that_are_allowed(start, host, status):
    """A service that others reach by a name answers to that name, and to no other."""
    process = start("serve", "--json", "--allowed-host", "keys.test", "--allowed-host", "keys")
    address = urlsplit(json.loads(process.stdout.readline())["url"])
    connection = http.client.HTTPConnection(address.hostname, address.port)
    connection.request("GET", "/openapi.json", headers={"Host": host})
    assert connection.getresponse().status == status
    connection.close()


def test_a_host_that_cannot_be_allowed(run):
    """A scheme or a port is refused before anything starts."""
    ended = run("serve", "--allowed-host", "http://keys.test")
    assert (ended.code != 0, ended.out) == (True, "")
    assert "an allowed host is a name" in ended.err
