"""`create --save` and `sweep`: a secret goes into a store and nowhere else."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess

import attempt_files
import attrs
import pytest

from agentkeys import AgentityClient, AgentryClient, PasswordLogin
from agentkeys.cli.ground.local import local_database
from agentkeys.server.bootstrap import EMAIL
from agentkeys.server.faults import CREATES, LISTS, Answer, Delay, NeverAnswer, Reset

SAVE = ["--save", "dotenv:.env#KEY"]
PLACES = [
    pytest.param(["agentity", "create", "ci"], r"agk_live_\w+", id="agentity"),
    pytest.param(["agentry", "create", "demo@agentkeys.local", "ci"], r"ag_\w+", id="inbox"),
    pytest.param(["agentry", "create", "--tenant", "ci"], r"ag_\w+", id="tenant"),
    pytest.param(
        ["agentry", "create", "--pod", "demo", "ci", "--permission", "x"], r"ag_\w+", id="pod"
    ),
]


@pytest.fixture
def dotenv(tmp_path):
    """What the dotenv file holds."""
    return lambda: (tmp_path / ".env").read_text() if (tmp_path / ".env").exists() else ""


def leave(scope, name: str, nonce: str) -> None:
    """Leave what a process that was killed would."""
    attempt_files.begin(scope, name, nonce).release()


@pytest.mark.parametrize(("words", "secret"), PLACES)
def test_the_secret_is_stored_and_not_shown(place, dotenv, words, secret):
    """The id goes to stdout, a sentence to stderr, and the secret into the file alone."""
    ended = place(*words, *SAVE)
    assert ended.code == 0
    assert re.fullmatch(r"[\w-]+\n", ended.out)
    assert re.fullmatch(f"KEY={secret}\n", dotenv())
    assert "ci~" in ended.err
    assert "KEY in " in ended.err
    assert not re.search(r"(agk_live|ag)_\w+", ended.out + ended.err)


@pytest.mark.parametrize(("words", "secret"), PLACES)
def test_json_has_where_the_secret_is_and_not_what(place, dotenv, words, secret):
    """The key's fields, its store, and what was recovered."""
    ended = place(*words, *SAVE, "--json")
    assert (ended.code, ended.err) == (0, "")
    shown = json.loads(ended.out)
    assert not {"key", "api_key"} & shown.keys()
    assert shown["store"].startswith("KEY in ")
    assert shown["recovered"] == []
    assert not re.search(secret, json.dumps({**shown, "prefix": None}))


def test_a_secret_that_is_there_is_replaced_only_if_told(place, dotenv):
    """Without --replace nothing is made; with it the new one stands there."""
    place("agentity", "create", "ci", *SAVE)
    before = dotenv()
    ended = place("agentity", "create", "ci", *SAVE)
    assert (ended.code, ended.out) == (8, "")
    assert "--replace" in ended.err
    assert dotenv() == before
    assert len(json.loads(place("agentity", "list", "--json").out)) == 1
    assert place("agentity", "create", "ci", *SAVE, "--replace").code == 0
    assert dotenv() != before


def test_an_exact_name(place):
    """No nonce behind it."""
    ended = place("agentity", "create", "ci", *SAVE, "--exact-name", "--json")
    assert json.loads(ended.out)["nickname"] == "ci"


@pytest.mark.parametrize(
    "words",
    [
        ["--save", "nonsense"],
        ["--save", "memory:x"],
        ["--save", "dotenv:.env"],
        ["--replace"],
        ["--exact-name"],
    ],
    ids=" ".join,
)
def test_a_wrong_save_is_one_line_and_sends_nothing(run, words):
    """One line, exit code 2, and nothing is sent: there are no credentials here."""
    ended = run("agentity", "create", "ci", *words)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


def test_a_lost_answer_is_recovered_from(run, served, dotenv):
    """One live key is left, and its secret is in the file."""
    served.faults.add(CREATES, Reset(), when="after")
    ended = run("agentity", "create", "ci", *SAVE, "--json")
    assert (ended.code, ended.err) == (0, "")
    assert len(json.loads(ended.out)["recovered"]) == 1
    assert len(json.loads(run("agentity", "list", "--json").out)) == 1
    assert dotenv()


def test_a_key_that_may_be_left_is_swept(run, served):
    """The error says how to finish, and `sweep` does."""
    served.faults.add(CREATES, Reset(), when="after", times="always")
    lists = served.faults.add(LISTS, Answer(403), times="always")
    ended = run("agentity", "create", "ci", *SAVE)
    assert ended.code == 11
    assert "agentkeys sweep" in ended.err
    lists.remove()
    [key] = json.loads(run("agentity", "list", "--json").out)
    assert run("sweep") == (0, f"deleted {key['id']}\n", "")
    assert run("agentity", "list", "--json").out == "[]\n"


def test_nothing_to_sweep_needs_no_credentials(run):
    """It sends nothing, and says nothing."""
    assert run("sweep") == (0, "", "")
    assert json.loads(run("sweep", "--json").out) == {
        "deleted": [],
        "stored": [],
        "waiting": [],
        "unresolved": [],
        "retired": [],
        "retiring": [],
    }


def test_every_place_is_swept(run, served, background):
    """Both services, every scope, each with its own credentials."""
    inbox = "demo@agentkeys.local"
    places = {
        ("account", "", ""): ["agentity", "create"],
        ("inbox", inbox, "human"): ["agentry", "create", inbox],
        ("tenant", "", "human"): ["agentry", "create", "--tenant"],
        ("tenant", "", "agent"): ["agentry", "create", "--agent", "--tenant"],
        ("pod", "demo", "agent"): ["agentry", "create", "--pod", "demo"],
        ("inbox", inbox, "agent"): ["agentry", "create", "--agent", inbox],
    }
    for n, words in enumerate(places.values()):
        served.faults.add(CREATES, NeverAnswer(), when="after")
        served.faults.add(LISTS, Answer(403))
        ended = run(*words, f"ci{n}", *SAVE, "--replace", "--timeout", "0.5")
        assert ended.code == 11, ended
    left = attempt_files.survey().scopes
    assert {(scope.kind, scope.id, scope.surface) for scope in left} == set(places)
    ended = run("sweep", "--json")
    assert (ended.code, len(json.loads(ended.out)["deleted"])) == (0, len(places))
    assert attempt_files.survey().entries == ()


def test_what_local_left_is_swept_locally(run):
    """--local has another address each time, but one database."""
    made = json.loads(run("--local", "agentity", "create", "ci~k7f3q2", "--json").out)
    scope = AgentityClient(PasswordLogin(EMAIL, "pw")).api_keys.scope
    scope = attrs.evolve(scope, realm=local_database())
    leave(scope, "ci~k7f3q2", "k7f3q2")
    elsewhere = run("sweep")
    assert elsewhere.code == 1
    assert run("--local", "sweep") == (0, f"deleted {made['id']}\n", "")


def test_what_is_left_elsewhere_is_named(run, served):
    """Another address is not looked at, and the sentence says how to do that."""
    client = AgentityClient(PasswordLogin("me@example.com", "pw"), base_url="http://127.0.0.1:9")
    leave(client.api_keys.scope, "ci~k7f3q2", "k7f3q2")
    ended = run("sweep")
    assert (ended.code, ended.out) == (1, "")
    assert "Agentity's account at http://127.0.0.1:9 was not swept" in ended.err
    assert "--base-url" in ended.err
    assert str(attempt_files.folder()) in ended.err  # for an address that nothing will be at again


def test_a_service_without_credentials_does_not_stop_the_other(run, served, monkeypatch):
    """What can be swept is; the rest is said, and the exit code is 1."""
    served.faults.add(CREATES, NeverAnswer(), when="after")
    served.faults.add(LISTS, Answer(403))
    run("agentry", "create", "--tenant", "ci", *SAVE, "--timeout", "0.5")
    client = AgentityClient("token", base_url=served.url)
    leave(client.api_keys.scope, "ci~k7f3q2", "k7f3q2")
    monkeypatch.delenv("AGENTITY_PASSWORD")
    ended = run("sweep")
    assert ended.code == 1
    assert ended.out.startswith("deleted ")
    assert "AGENTITY_PASSWORD" in ended.err


def test_a_place_that_is_gone_does_not_stop_the_others(run, served, background):
    """An inbox that is there no more is named, with the way out; what comes after it is swept."""
    client = AgentryClient("token", base_url=served.url)
    leave(client.inbox("a-gone@acme.to").api_keys.scope, "ci~k7f3q2", "k7f3q2")
    made = json.loads(run("agentry", "create", "--tenant", "ci~abcdef", "--json").out)
    leave(client.api_keys.scope, "ci~abcdef", "abcdef")
    other = json.loads(run("agentry", "create", served.inbox_id, "ci~bcdefg", "--json").out)
    leave(client.inbox(served.inbox_id).api_keys.scope, "ci~bcdefg", "bcdefg")
    ended = run("sweep")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert {*ended.out.splitlines()} == {f"deleted {key['api_key_id']}" for key in (made, other)}
    assert "inbox a-gone@acme.to on the human surface at" in ended.err
    assert "404" in ended.err
    assert str(attempt_files.folder()) in ended.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_for_the_secret(start, served, background, dotenv, *, number, code):
    """The request is on its way: the secret is stored, and then the command ends."""
    fault = served.faults.add(CREATES, Delay(0.3), when="after")
    process = start("agentity", "create", "ci", *SAVE)
    background.run(fault.wait())
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (code, "", "")
    assert dotenv().startswith("KEY=agk_live_")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_key_that_was_to_be_printed(
    start, served, background, run, *, number, code
):
    """A plain `create` hears its answer, and deletes the key."""
    fault = served.faults.add(CREATES, Delay(0.3), when="after")
    process = start("agentity", "create", "ci")
    background.run(fault.wait())
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (code, "", "")
    assert run("agentity", "list", "--json").out == "[]\n"


def test_a_second_signal_does_not_wait(start, served, background, dotenv):
    """Whoever presses Ctrl-C twice means it; the attempt is remembered."""
    fault = served.faults.add(CREATES, NeverAnswer(), when="after")
    process = start("agentity", "create", "ci", *SAVE)
    background.run(fault.wait())
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:  # it may not have heard the first one yet
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert len(attempt_files.survey().scopes) == 1
