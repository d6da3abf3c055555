"""What fails says so in one line, and never loses a secret."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from wire import answer, close, hang

from agentkeys.cli.ground.ending import CommandLine
from agentkeys.cli.ground.options import with_json

if TYPE_CHECKING:
    from agentkeys.cli.ground.options import Options

SECRET = "agk_live_0123456789abcdef"
NEW = {
    "id": 7,
    "nickname": "ci",
    "key": SECRET,
    "createdAt": "2026-01-01T00:00:00.000Z",
    "updatedAt": "2026-01-01T00:00:00.000Z",
}
UNREADABLE = {**NEW, "id": "seven"}
DELETED = {"message": "API key deleted successfully"}


class Full(io.StringIO):
    """A standard output whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Stuck(io.StringIO):
    """A standard output that fails when it is flushed."""

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_wrong_password(run, served, monkeypatch):
    """A wrong password is one line that names neither password."""
    monkeypatch.setenv("AGENTITY_PASSWORD", "incorrect horse")
    ended = run("agentity", "list")
    assert (ended.code, ended.out, ended.err.count("\n")) == (6, "", 1)
    assert "401" in ended.err
    assert "horse" not in ended.err
    assert served.password not in ended.err


def test_a_service_that_is_gone(run, background, served):
    """A service that does not run is one line that says where it was looked for."""
    url = served.url
    background.run(served.close())
    for args in (["agentity", "list"], ["agentry", "list", "--tenant"]):
        ended = run(*args, "--timeout", "0.3")
        assert (ended.code, ended.out, ended.err.count("\n")) == (10, "", 1)
        assert url in ended.err
        assert "refused" in ended.err


def test_a_service_that_is_killed(run, start, monkeypatch):
    """A service that was killed without a word is one line, too."""
    process = start("serve", "--json")
    service = json.loads(process.stdout.readline())
    process.kill()
    process.wait()
    monkeypatch.setenv("AGENTRY_API_KEY", service["agentry_token"])
    ended = run("agentry", "list", "--tenant", "--base-url", service["url"], "--timeout", "0.3")
    assert (ended.code, ended.out, ended.err.count("\n")) == (10, "", 1)
    assert service["agentry_token"] not in ended.err


def test_the_timeout_is_for_the_whole_command(run, wire):
    """--timeout is the time for the whole call."""
    wire(hang)
    ended = run("agentity", "create", "ci", "--timeout", "0.1")
    assert (ended.code, ended.out, ended.err.count("\n")) == (11, "", 1)
    assert "0.1 s" in ended.err


def test_a_nickname_that_is_taken(place):
    """What the service refuses is told in its own words, with what to do."""
    place("agentity", "create", "a")
    ended = place("agentity", "create", "a")
    assert (ended.code, ended.out, ended.err.count("\n")) == (8, "", 1)
    assert "409" in ended.err
    assert "another name" in ended.err


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_the_secret_in_an_answer_that_cannot_be_read_is_printed(run, wire, form):
    """The secret is saved, on stdout; the complaint follows on stderr, with exit code 11."""
    wire(answer(201, UNREADABLE))
    ended = run("agentity", "create", "ci", *form)
    assert ended.code == 11
    assert ended.out == (json.dumps({"key": SECRET}) if form else SECRET) + "\n"
    assert ended.err.count("\n") == 1
    assert "$.id" in ended.err
    assert SECRET not in ended.err


def test_the_secret_in_an_answer_that_was_cut_short_is_printed(run, wire):
    """So is one that had come when the connection broke."""
    wire(answer(201, UNREADABLE, length=5000))
    ended = run("agentity", "create", "ci")
    assert (ended.code, ended.out) == (11, f"{SECRET}\n")
    assert "cut short" in ended.err


@pytest.mark.parametrize("trouble", [answer(503), answer(408), answer(302), close])
def test_a_key_that_may_have_been_made_is_not_to_be_made_again(run, wire, trouble):
    """One line, and it does not say "try again later"."""
    wire(trouble)
    ended = run("agentity", "create", "ci")
    assert (ended.code, ended.out, ended.err.count("\n")) == (11, "", 1)
    assert "check before you repeat the call" in ended.err
    assert "later" not in ended.err


def test_a_key_in_the_place_of_an_id_is_masked(run, wire, monkeypatch):
    """Whoever pastes a key where its id belongs does not find it in the log."""
    monkeypatch.setenv("AGENTRY_API_KEY", "ag_token")
    server = wire(answer(404))
    monkeypatch.setenv("AGENTRY_BASE_URL", server.url)
    ended = run("agentry", "delete", "i", "--yes", "ag_pasted1234")
    assert ended.code == 7
    assert "pasted1234" not in ended.err + ended.out


def test_an_answer_without_a_secret(run, wire):
    """If there is no secret to save, the error alone is reported."""
    wire(answer(201, {"id": 7}))
    ended = run("agentity", "create", "ci")
    assert (ended.code, ended.out, ended.err.count("\n")) == (11, "", 1)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("broken", [Full, Stuck])
def test_a_key_whose_secret_cannot_be_printed_is_deleted(run, wire, monkeypatch, broken, form):
    """A secret that reached nobody leaves no key behind, and the line says so."""
    server = wire(answer(201, NEW), answer(200, DELETED))
    monkeypatch.setattr(sys, "stdout", broken())
    ended = run("agentity", "create", "ci", *form)
    assert [(seen.method, seen.target) for seen in server.requests] == [
        ("POST", "/auth/api-keys"),
        ("DELETE", "/auth/api-keys/7"),
    ]
    assert ended.code == 1
    assert "the new key 'ci' was deleted" in ended.err.splitlines()[-1]
    assert SECRET not in ended.err


def test_a_lost_secret_whose_key_cannot_be_deleted(run, wire, monkeypatch):
    """If even that fails, the line names the key that exists."""
    wire(answer(201, NEW), answer(403, {"message": "Forbidden"}))
    monkeypatch.setattr(sys, "stdout", Full())
    ended = run("agentity", "create", "ci")
    last = ended.err.splitlines()[-1]
    assert ended.code == 6
    assert "Agentity's key 7" in last
    assert "403" in last
    assert SECRET not in ended.err


def test_a_salvaged_secret_that_cannot_be_printed(run, wire, monkeypatch):
    """A secret that was saved and then lost is told, for its key is there."""
    wire(answer(201, UNREADABLE))
    monkeypatch.setattr(sys, "stdout", Full())
    ended = run("agentity", "create", "ci")
    assert ended.code == 11
    assert "secret is lost" in ended.err
    assert SECRET not in ended.err


def test_a_secret_into_a_pipe_that_nobody_reads_leaves_no_key(start, wire):
    """`agentkeys ... | true`: it is not lost in silence."""
    server = wire(answer(201, NEW), answer(200, DELETED))
    reader, writer = os.pipe()
    os.close(reader)
    process = start("agentity", "create", "ci", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "(Broken pipe), so the new key 'ci' was deleted" in err
    assert [seen.method for seen in server.requests] == ["POST", "DELETE"]


def test_a_signal_while_an_unread_key_is_deleted_again_says_what_is_left(start, background, wire):
    """The key exists, and nobody has its secret: that is said by name and id."""
    server = wire(answer(201, NEW), hang)
    reader, writer = os.pipe()
    os.close(reader)
    process = start("agentity", "create", "ci", stdout=writer)
    os.close(writer)
    background.run(server.hung.wait())
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143
    assert err.splitlines()[-1].startswith("Error: the key 'ci' exists, but its secret is lost")
    assert err.rstrip().endswith("delete Agentity's key 7 yourself")


def test_a_process_without_standard_output_makes_no_key(run, wire, monkeypatch):
    """Where nothing can be printed, nothing is made."""
    server = wire(answer(201, NEW))
    monkeypatch.setattr(sys, "stdout", None)
    ended = run("agentity", "create", "ci")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert server.connections == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
def test_a_full_disk(start):
    """On a disk that is really full, no key is left, and nothing follows the one line."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        process = start("--local", "agentity", "create", "ci", stdout=full)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("Error: the secret could not be printed")
    assert "No space left" in err
    listed = start("--local", "agentity", "list", "--json")
    assert listed.communicate(timeout=30) == ("[]\n", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110
@pytest.mark.parametrize("args", [["--help"], ["--version"], ["serve", "--help"]])
def test_a_help_that_cannot_be_written(start, args):
    """Help on a full disk is one line and exit 1, too."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        process = start(*args, stdout=full)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err == "Error: standard output cannot be written: No space left on device\n"


@pytest.mark.parametrize("broken", [Full, Stuck])
def test_deleting_goes_on_if_nobody_reads(run, wire, monkeypatch, broken):
    """What cannot be reported on stdout is reported on stderr, and the other keys go as well."""
    server = wire(answer(200, DELETED))
    monkeypatch.setattr(sys, "stdout", broken())
    ended = run("agentity", "delete", "1", "2")
    assert ended.err == "deleted 1\ndeleted 2\n"
    assert len(server.requests) == 2


def test_a_listing_that_cannot_be_written(run, wire, monkeypatch):
    """A full disk under a listing is one line."""
    listed = {key: value for key, value in NEW.items() if key != "key"}
    wire(answer(200, {"apiKeys": [listed]}))
    monkeypatch.setattr(sys, "stdout", Full())
    ended = run("agentity", "list")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "No space left" in ended.err


@pytest.mark.parametrize("args", [["agentity", "list"], ["agentity", "list", "--json"]])
def test_a_reader_that_goes_away_ends_it_quietly(start, wire, args):
    """`| head -1`: nothing on stderr, whatever was still to be written."""
    keys = [{**NEW, "id": n} for n in range(2000)]
    wire(answer(200, {"apiKeys": keys}))
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*args, stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["agentity", "list"], ""),
        (["agentity", "create", "ci"], "the creation of the key 'ci' was cancelled"),
    ],
    ids=["list", "create"],
)
def test_ctrl_c_ends_a_command_with_130(start, background, wire, interrupt, *, args, says):
    """Ctrl-C ends a call with exit code 130; a create says that the key may exist."""
    server = wire(hang)
    process = start(*args)
    background.run(server.arrived.wait())
    interrupt(process)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.strip().startswith(says)
    assert len(err.strip().splitlines()) <= 1


def test_an_unexpected_error_is_one_line(capsys):
    """Even what nobody thought of is one line, which says how to see more, and shows no key."""

    @click.command("fail")
    @with_json
    def fail(options: Options) -> None:
        raise LookupError(f"{SECRET}\nis not there {options.json}")

    line = CommandLine("agentkeys", commands=[fail])
    with pytest.raises(SystemExit) as exited:
        line.main(["fail"])
    assert exited.value.code == 1
    err = capsys.readouterr().err
    assert err.startswith("Error: unexpected LookupError: ")
    assert err.count("\n") == 1
    assert "--traceback" in err
    with pytest.raises(SystemExit):
        line.main(["fail", "--traceback"])
    verbose = capsys.readouterr().err
    assert "Traceback" in verbose
    assert SECRET not in err + verbose


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such limit")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_secret_that_is_cut_off(start, wire, tmp_path, monkeypatch, unbuffered):
    """A disk that takes half of the secret has not taken it, with PYTHONUNBUFFERED as well."""
    import resource

    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    server = wire(answer(201, NEW), answer(200, DELETED))
    with (tmp_path / "out").open("w") as out:
        process = start(
            "agentity",
            "create",
            "ci",
            stdout=out,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)),
        )
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "so the new key" in err
    assert [seen.method for seen in server.requests] == ["POST", "DELETE"]


HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
sys.argv = ["agentkeys", *{args}]
from agentkeys.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("hidden", "args", "extra"),
    [
        ("click", ["--help"], "cli"),
        ("sqlalchemy", ["--local", "agentity", "list"], "server"),
        ("argon2", ["serve"], "server"),
        ("platformdirs", ["--local", "agentity", "list"], "cli"),
    ],
)
def test_an_extra_that_is_missing(monkeypatch, hidden, args, extra):
    """A part whose extra is not installed says in a sentence what to install."""
    monkeypatch.delenv("AGENTKEYS_HOME")
    code = HIDING.format(hidden={hidden}, args=args)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert hidden in ended.stderr
    assert f"pip install 'agentkeys-sdk[{extra}]'" in ended.stderr


def test_a_key_of_another_account(run, served, background, monkeypatch):
    """A key of somebody else's is not deleted, and the line says what may be wrong."""
    run("agentity", "create", "mine")
    background.run(served.add_account("you@example.com", "pw"))
    monkeypatch.setenv("AGENTITY_EMAIL", "you@example.com")
    monkeypatch.setenv("AGENTITY_PASSWORD", "pw")
    ended = run("agentity", "delete", "1")
    assert (ended.code, ended.out, ended.err.count("\n")) == (6, "", 1)
    assert "401" in ended.err
