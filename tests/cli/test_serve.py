"""`agentkeys serve`: both services in the foreground."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

pytestmark = pytest.mark.slow

PASSWORD = "S3NT1NEL correct horse"
TOKEN = "ag_S3NT1NEL-correct-horse"


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


@pytest.fixture
def fixed(monkeypatch):
    """Credentials that the environment gives."""
    monkeypatch.setenv("AGENTKEYS_SERVE_PASSWORD", PASSWORD)
    monkeypatch.setenv("AGENTKEYS_SERVE_AGENTRY_KEY", TOKEN)


def printed(process):
    """Return what a service printed until it was ready."""
    lines = iter(process.stdout.readline, "")
    text = ""
    for line in lines:
        text += line
        if "its pod is" in line:
            return text
    return text


def test_no_secret_lands_in_a_log(start, fixed):
    """With --quiet neither the password nor the token is printed, and it says so."""
    text = printed(start("serve", "--quiet"))
    assert "export AGENTITY_BASE_URL=http://127.0.0.1:" in text
    assert "AGENTITY_PASSWORD and AGENTRY_API_KEY are not printed" in text
    assert "S3NT1NEL" not in text


def test_quiet_prints_no_secret_on_a_terminal(terminal, fixed):
    """A container may have a terminal and keep a log of it all the same."""
    serving = terminal("serve", "--quiet")
    serving.read_until("its pod is")
    assert "S3NT1NEL" not in serving.shown


def test_quiet_json_has_no_secret(start, fixed):
    """The rest is there."""
    service = json.loads(start("serve", "--json", "--quiet").stdout.readline())
    assert service.keys() == {"url", "email", "inbox_id"}


@pytest.mark.parametrize("how", ["a variable", "a file", "a store"])
def test_credentials_of_ones_choice(start, run, monkeypatch, tmp_path, how):
    """From the environment, from files or from stores; and they work."""
    for name, secret in {"PASSWORD": PASSWORD, "AGENTRY_KEY": TOKEN}.items():
        file = tmp_path / name
        file.write_text(secret)
        file.chmod(0o600)
        suffix, value = {
            "a variable": ("", secret),
            "a file": ("_FILE", str(file)),
            "a store": ("_FROM", f"file:{file}"),
        }[how]
        monkeypatch.setenv(f"AGENTKEYS_SERVE_{name}{suffix}", value)
    monkeypatch.setenv("AGENTKEYS_SERVE_EMAIL", "me@example.com")
    service = json.loads(start("serve", "--json").stdout.readline())
    assert (service["email"], service["password"]) == ("me@example.com", PASSWORD)
    assert service["agentry_token"] == TOKEN
    for name, value in {
        "AGENTITY_EMAIL": "me@example.com",
        "AGENTITY_PASSWORD": PASSWORD,
        "AGENTRY_API_KEY": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    at = ["--base-url", service["url"]]
    assert run("agentity", "list", *at).code == run("agentry", "list", "--tenant", *at).code == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AGENTRY_KEY", "S3NT1NEL-correct-horse"),
        ("AGENTRY_KEY", "ag_S3NT1NEL"),
        ("AGENTRY_KEY", "agk_live_S3NT1NEL-correct-horse"),
        ("PASSWORD", "S3NT1NEL\udce9"),
        ("PASSWORD_FILE", "/nowhere"),
        ("EMAIL", "nobody"),
    ],
)
def test_credentials_that_cannot_be(run, monkeypatch, name, value):
    """Are one sentence, which does not repeat them, and nothing starts."""
    monkeypatch.setenv(f"AGENTKEYS_SERVE_{name}", value)
    ended = run("serve")
    assert (ended.code != 0, ended.out, ended.err.count("\n")) == (True, "", 1)
    assert "S3NT1NEL" not in ended.err


def test_more_accounts_inboxes_and_pods(start, run, monkeypatch, fixed):
    """Each of them several times, by options or by variables, which blanks separate."""
    monkeypatch.setenv("AGENTKEYS_SERVE_PODS", "red blue")
    process = start("serve", "--json", *("--inbox", "a", "--inbox", "b", "--account", "b@c.de"))
    at = ["--base-url", json.loads(process.stdout.readline())["url"]]
    monkeypatch.setenv("AGENTRY_API_KEY", TOKEN)
    for inbox in ("a", "b"):
        assert run("agentry", "create", inbox, "key", *at).code == 0
    for pod in ("red", "blue"):
        assert run("agentry", "create", "--pod", pod, "key", "--agent", *at).code == 0
    monkeypatch.setenv("AGENTITY_EMAIL", "b@c.de")
    monkeypatch.setenv("AGENTITY_PASSWORD", PASSWORD)
    assert run("agentity", "create", "key", *at).code == 0


def test_tls(start, tmp_path):
    """--cert and --key; the key may be in the file of the certificate."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    for how in (["--cert", "cert.pem", "--key", "key.pem"], ["--cert", "both.pem"]):
        url = json.loads(start("serve", "--json", *how).stdout.readline())["url"]
        address = urlsplit(url)
        assert address.scheme == "https"
        connection = http.client.HTTPSConnection(address.hostname, address.port, context=trusting)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def test_files_that_are_no_certificate(run, tmp_path):
    """Are one sentence; an encrypted key is not asked a password for."""
    (tmp_path / "bad.pem").write_text("S3NT1NEL")
    key = trustme.CA().issue_cert("x").private_key_pem.bytes()
    locked = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"S3NT1NEL"),
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    for given in (["nowhere.pem"], ["bad.pem"], ["bad.pem", "--key", "locked.pem"]):
        ended = run("serve", "--cert", *given)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert "cannot use TLS with" in ended.err
        assert "S3NT1NEL" not in ended.err
    assert run("serve", "--key", "key.pem").code == 2


def test_a_port_in_use(run):
    """A port in use is one sentence and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("serve", "--port", str(port))
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
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
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
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


def test_a_rate_limit(start, run, monkeypatch, fixed):
    """The second request in 1,000 seconds is one too many; and a limit is more than 0."""
    process = start("serve", "--json", "--rate-limit", "0.001")
    at = ["--base-url", json.loads(process.stdout.readline())["url"]]
    monkeypatch.setenv("AGENTRY_API_KEY", TOKEN)
    assert run("agentry", "list", "--tenant", *at).code == 0
    ended = run("agentry", "list", "--tenant", *at)
    assert (ended.code, "429" in ended.err) == (9, True)
    assert run("serve", "--rate-limit", "0").code == 2


def test_a_host_that_cannot_be_allowed(run):
    """A scheme or a port is refused before anything starts."""
    ended = run("serve", "--allowed-host", "http://keys.test")
    assert (ended.code != 0, ended.out) == (True, "")
    assert "an allowed host must be a name" in ended.err
