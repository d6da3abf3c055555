"""A signal ends a command with its clean-up done, its exit code, and an echo on the terminal."""

from __future__ import annotations

import json
import signal
from functools import partial
from pathlib import Path

import pytest
from wire import answer

from agentkeys.server.faults import CREATES, Delay

pytestmark = pytest.mark.slow

KEY = {"id": 7, "nickname": "ci", "createdAt": "2026-01-01T00:00:00Z"}
KEY |= {"updatedAt": KEY["createdAt"]}
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
ignorable = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name)
ending = pytest.mark.parametrize("number", ENDING, ids=lambda s: s.name)


def ignoring(number: signal.Signals) -> dict[str, object]:
    """Start a process as nohup does, or a shell that runs it in the background."""
    return {"preexec_fn": partial(signal.signal, number, signal.SIG_IGN)}


@ending
@pytest.mark.parametrize("save", [[], ["--save", "dotenv:.env#K"]], ids=["print", "save"])
def test_a_create_that_is_interrupted_leaves_no_key_that_nobody_has(
    start, served, background, *, number, save
):
    """A closed ssh is SIGHUP: it ends as Ctrl-C does; the key is deleted, or its secret is kept."""
    fault = served.faults.add(CREATES, Delay(0.4), when="after")
    process = start("agentity", "create", "bot", *save)
    background.run(fault.wait())
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, "")
    served.faults.clear()
    keys = json.loads(start("agentity", "list", "--json").communicate(timeout=30)[0])
    assert len(keys) == len(save) // 2
    assert not save or "K=agk_live_" in Path(".env").read_text()


@ignorable
def test_a_signal_that_the_parent_ignores_is_ignored(start, served, background, number):
    """`nohup agentkeys agentity create bot` outlives its terminal, and the secret is printed."""
    fault = served.faults.add(CREATES, Delay(0.2), when="after")
    process = start("agentity", "create", "bot", **ignoring(number))
    background.run(fault.wait())
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out.startswith("agk_live_")


def test_a_parent_that_ignores_its_children_hides_no_failure(start, served):
    """With SIGCHLD ignored, the exit code of a store's program is known, and no key is left."""
    create = ("agentity", "create", "bot", "--save", "command:sh -c 'cat >/dev/null; exit 3'")
    process = start(*create, **ignoring(signal.SIGCHLD))
    said = process.communicate(timeout=30)[1]
    assert (process.returncode, "it exited with code 3" in said) == (1, True), said
    keys = json.loads(start("agentity", "list", "--json").communicate(timeout=30)[0])
    assert keys == []


@ignorable
def test_serve_ignores_what_the_parent_ignores(start, run, monkeypatch, number):
    """`nohup agentkeys serve &` serves on."""
    process = start("serve", "--json", **ignoring(number))
    service = json.loads(process.stdout.readline())
    monkeypatch.setenv("AGENTITY_EMAIL", service["email"])
    monkeypatch.setenv("AGENTITY_PASSWORD", service["password"])
    process.send_signal(number)
    assert run("agentity", "list", "--json", "--base-url", service["url"]).out == "[]\n"
    process.terminate()
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


def test_serve_ends_at_sighup_as_at_sigterm(start):
    """The requests under way are answered, and nothing is said."""
    process = start("serve", "--json")
    assert process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0


@pytest.fixture
def asked(terminal, monkeypatch):
    """A command that asks for the password."""
    monkeypatch.setenv("AGENTITY_EMAIL", "me@example.com")
    monkeypatch.delenv("AGENTITY_PASSWORD", raising=False)
    asked = terminal("agentity", "list")
    asked.read_until("Password of me@example.com: ")
    assert not asked.echoes
    return asked


@ending
def test_a_prompt_that_a_signal_ends_leaves_the_echo_on(asked, interrupt, number):
    """And the exit code says which signal it was."""
    interrupt(asked.process, number)
    code, shown = asked.end()
    assert code == 128 + number
    assert asked.echoes
    assert "Traceback" not in shown


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("\x04", 1)], ids=["Ctrl-C", "Ctrl-D"])
def test_a_prompt_that_a_key_ends_leaves_the_echo_on(asked, key, code):
    """As one types it."""
    asked.type(key)
    assert asked.end()[0] == code
    assert asked.echoes


def test_a_window_that_is_closed_at_a_prompt_ends_with_129(asked):
    """Neither a traceback nor another code, though nothing can be set on it any more."""
    asked.hang_up()
    assert asked.process.wait(30) == 129


@ending
def test_a_question_that_a_signal_ends(terminal, wire, interrupt, number):
    """Nothing is deleted."""
    server = wire(answer(200, {"apiKeys": [KEY]}))
    asked = terminal("agentity", "delete", "7")
    asked.read_until("[y/N]")
    interrupt(asked.process, number)
    assert asked.end()[0] == 128 + number
    assert [seen.method for seen in server.requests] == ["GET"]


# A keyring that asks for its password, as an encrypted one does.
KEYRING = """
import getpass
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1

    def get_password(self, *_):
        getpass.getpass("Password of the keyring: ")

    set_password = delete_password = get_password
"""
READING = """
import asyncio, sys
from agentkeys import StoreError
from agentkeys.stores import KeyringStore

async def main():
    try:
        await KeyringStore("service", "NAME", timeout=0.2).read()
    except StoreError as error:
        print(error)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def keyring(tmp_path, monkeypatch) -> None:
    (tmp_path / "asking.py").write_text(KEYRING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "asking.Keyring")


@pytest.mark.slow
@pytest.mark.usefixtures("keyring", "served")
@pytest.mark.parametrize(
    ("number", "times"),
    [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGHUP, 1), (signal.SIGTERM, 2)],
)
def test_a_keyring_that_asks_leaves_the_echo_on(terminal, number, times):
    """It asks in a thread, which no signal reaches; the second signal does not wait for it."""
    asked = terminal("agentity", "create", "bot", "--save", "keyring:service#NAME")
    asked.read_until("Password of the keyring: ")
    assert not asked.echoes
    for _ in range(times):
        asked.process.send_signal(number)
    code, shown = asked.end()
    assert code in {128 + number, -number}
    assert asked.echoes
    assert "Traceback" not in shown


@pytest.mark.slow
@pytest.mark.usefixtures("keyring")
def test_a_keyring_that_asks_for_too_long_leaves_the_echo_on(terminal):
    """In any program: the time is up, and who goes on to work there sees what he types."""
    asked = terminal(code=READING)
    asked.read_until("Password of the keyring: ")
    assert not asked.echoes
    asked.read_until("did not answer within 0.2 s")
    assert asked.echoes
