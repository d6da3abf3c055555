"""Programs that try a secret and tell its users; and commands that are killed meanwhile."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import sys

import pytest
from rotations import BOT, PATIENCE, SAVE, SECRET, contents, keys, python, status

from agentkeys.server.faults import LISTS, Reset

pytestmark = pytest.mark.slow

PROGRAM = """
import json, os, sys
parts = open('/proc/self/cmdline').read(), dict(os.environ), sys.stdin.read()
with open(parts[1].get('TO', sys.argv[1]), 'a') as file:
    print(json.dumps(parts), file=file)
"""


@pytest.fixture
def recorder(tmp_path):
    """Return a program that writes down what it was given; and a reader of what it wrote."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def recorder(name):
        return shlex.join([sys.executable, "program.py", name])

    def read(name):
        path = tmp_path / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return recorder, read


def test_the_users_are_told(run, bot, recorder, env):
    """The program gets the rotation's id and what has changed, and nothing else of ours."""
    program, read = recorder
    ended = run(*BOT, "--then", program("told"), "--json")
    [(_, environment, stdin)] = read("told")
    rotated = json.loads(ended.out)
    assert stdin == ""
    assert not [name for name in environment if name.startswith(("AGENTITY_", "AGENTRY_"))]
    ours = {name: value for name, value in environment.items() if name.startswith("AGENTKEYS_")}
    del ours["AGENTKEYS_HOME"]
    assert ours == {
        "AGENTKEYS_ROTATION": rotated["rotation"],
        "AGENTKEYS_NAME": "bot",
        "AGENTKEYS_KEY_ID": str(rotated["id"]),
        "AGENTKEYS_REPLACED_ID": str(bot),
        "AGENTKEYS_STORE": status(run)["retiring"][0]["store"],
    }


def test_the_secret_goes_to_the_program_that_tries_it_alone(run, bot, recorder, env, tmp_path):
    """On its standard input; both secrets stand in the store, and nowhere else."""
    program, read = recorder
    old = env()
    shown = [
        run(*BOT, "--verify", program("tried"), "--then", program("told")),
        run("sweep"),
        run("status", "--json"),
        run("sweep", "--force"),
    ]
    [tried], [told] = read("tried"), read("told")
    assert tried[2] == env() != old
    tried[2] = ""
    (tmp_path / "tried").write_text(json.dumps([tried, told]))
    for path, data in contents(tmp_path).items():
        for secret in (old, env()):
            is_there = secret.encode() in data
            assert is_there == (path.name == ".env" and secret == env()), path
    assert not SECRET.search("".join(ended.out + ended.err for ended in shown))


def test_a_secret_that_does_not_work_is_not_stored(run, bot, env):
    """The new key is deleted, the store is as before, and what the program said is shown."""
    before = env()
    says = python("import sys; sys.stdin.read(); print('no entry', file=sys.stderr); sys.exit(7)")
    ended = run(*BOT, "--verify", says, "--verify-within", "0s")
    assert (ended.code, ended.out, ended.err.count("\n")) == (4, "", 1)
    assert "it exited with code 7. Its error output: no entry" in ended.err
    assert "was deleted" in ended.err
    assert (keys(run), env()) == ([bot], before)
    assert run("sweep") == (0, "", "")


def test_a_program_that_reads_no_secret_has_tried_none(run, bot, env):
    """`true` proves nothing."""
    before = env()
    ended = run(*BOT, "--verify", "true", "--verify-within", "0s")
    assert ended.code == 4
    assert "without reading the secret" in ended.err
    assert (keys(run), env()) == ([bot], before)


def test_what_a_program_says_of_the_secret_is_left_out(run, bot, env):
    """Be it a part of it."""
    says = python("import sys; print(sys.stdin.read()[-8:], file=sys.stderr); sys.exit(1)")
    ended = run(*BOT, "--verify", says, "--verify-within", "0s")
    assert ended.code == 4
    assert "left out" in ended.err
    assert "Its error output" not in ended.err


SAYS_NO = "sh -c 'echo first >&2; echo not agk_live_0123456789abcdef today >&2; exit 3'"


def test_a_rotation_whose_users_wait_is_under_way(run, bot):
    """To force it would not help: the sentence says what does."""
    run(*BOT, "--then", "false")
    ended = run(*BOT)
    assert ended.code == 3
    assert "--force" not in ended.err
    assert (
        "`agentkeys sweep --then ...`, or tell them and run `agentkeys ... announced bot`"
        in ended.err
    )


def test_users_who_could_not_be_told_keep_the_old_key(place, env):
    """Until somebody tells them: with the next sweep, which then goes on."""
    old = place("agentity", "create", "bot", *SAVE).out.strip()
    before = env()
    ended = place(*BOT, "--grace", "0s", "--then", SAYS_NO)
    assert (ended.code, ended.out, ended.err.count("\n")) == (4, "", 1)
    assert "it exited with code 3. Its error output: not agk_live_" in ended.err
    assert "0123456789abcdef" not in ended.err
    assert env() != before
    assert len(keys(place)) == 2
    left = place("sweep")
    assert (left.code, left.out) == (4, "")
    assert "have not been told" in left.err
    assert "does not retire before its users have been told" in place("status").err
    again = place("sweep", "--then", "false")
    assert again.code == 4
    assert "it exited with code 1" in again.err
    done = place("sweep", "--then", "true")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"deleted {old}, which bot~")
    assert len(keys(place)) == 1


def test_announced(run, bot):
    """The grace begins when somebody says that the users know."""
    run(*BOT, "--grace", "1h", "--then", "false")
    ended = run("agentity", "announced", "bot")
    assert (ended.code, ended.out) == (0, "")
    assert f"The old key {bot} works until 20" in ended.err
    assert run("sweep").code == 3
    again = run("agentity", "announced", "bot")
    assert again.code == 4
    assert "have been told already" in again.err


def test_announced_in_json(run, bot):
    """What the journal knows of the rotation then."""
    run(*BOT, "--grace", "1h", "--then", "false")
    shown = json.loads(run("agentity", "announced", "bot", "--json").out)
    assert shown == status(run)["retiring"][0]
    assert shown["retires_at"]


WAITS = "import os, sys; sys.stdin.read(); open('here', 'w').close(); open('fifo').read()"


@pytest.fixture
def waits(tmp_path):
    """Return a program that waits, a way to wait for it, and one to let it go."""
    here, here_end = tmp_path / "here", tmp_path / "fifo"
    os.mkfifo(here)
    os.mkfifo(here_end)
    yield python(WAITS), lambda: here.open().close()
    descriptor = os.open(here_end, os.O_RDWR | os.O_NONBLOCK)  # whoever opens it to read goes on
    os.close(descriptor)


@pytest.fixture
def prefix(request):
    """What stands before a command that is started in a process of its own."""
    return ["--local"] if request.node.callspec.params["place"] == "local" else []


@pytest.mark.parametrize("finish", [["sweep"], ["agentity", "abort", "bot"]], ids=" ".join)
def test_a_rotation_that_was_killed_before_the_store_was_written(
    place, prefix, start, env, waits, *, finish
):
    """The new key is deleted, and the old one stays in its place; no secret is asked for."""
    old = int(place("agentity", "create", "bot", *SAVE).out)
    program, wait = waits
    before = env()
    process = start(*prefix, *BOT, "--verify", program)
    wait()
    process.kill()
    process.wait(30)
    [new] = set(keys(place)) - {old}
    assert status(place)["under_way"][0]["state"] == "asking"
    assert place(*finish)[:2] == (0, f"deleted {new}\n")
    assert (keys(place), env()) == ([old], before)
    assert place("sweep") == (0, "", "")


def test_a_rotation_that_was_killed_while_the_users_were_told(place, prefix, start, env, waits):
    """`sweep` goes forward: they are told again, and then the old key retires."""
    old = int(place("agentity", "create", "bot", *SAVE).out)
    program, wait = waits
    before = env()
    process = start(*prefix, *BOT, "--then", program, "--grace", "0s")
    wait()
    process.kill()
    process.wait(30)
    assert env() != before
    assert place("sweep").code == 4
    ended = place("sweep", "--then", "true")
    assert ended.code == 0
    assert ended.out.startswith(f"deleted {old}, which bot~")
    assert old not in keys(place)


def test_while_somebody_rotates_the_key_nobody_else_does(run, start, bot, env, waits):
    """The exit code is that of what is under way, and a sweep leaves it alone."""
    program, wait = waits
    process = start(*BOT, "--verify", program)
    wait()
    before = env(), keys(run)
    ended = run(*BOT)
    assert (ended.code, ended.out, ended.err.count("\n")) == (3, "", 1)
    assert "is being replaced already" in ended.err
    assert run("sweep") == (0, "", "")
    assert run("agentity", "abort", "bot").code == 4
    assert (env(), keys(run)) == before
    process.kill()
    process.wait(30)


def test_what_could_not_be_looked_at_is_no_case_for_a_person(run, served, bot):
    """The service does not answer: the next sweep may do better, and deletes nothing before."""
    run(*BOT)
    fault = served.faults.add(LISTS, Reset(), times="always")
    ended = run("sweep", "--force", "--timeout", "0.5")
    assert (ended.code, ended.out) == (1, "")
    assert "could not be swept" in ended.err
    fault.remove()
    assert bot in keys(run)
    assert run("sweep", "--force").code == 0


def test_a_signal_while_the_new_secret_is_tried(run, start, bot, env, waits):
    """The program is killed, the new key deleted, and the command ends as interrupted."""
    program, wait = waits
    before = env()
    process = start(*BOT, "--verify", program)
    wait()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (143, "", "")
    assert (keys(run), env()) == ([bot], before)


def test_a_program_that_hangs_is_killed_with_its_children(run, bot, tmp_path):
    """When the time of the call is up; then the old key does not retire."""
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    hangs = "sh -c 'exec 3>fifo; echo here >&3; sleep 1000 & sleep 1000'"
    ended = run(*BOT, "--then", hangs, "--timeout", "1", "--verify-within", "0s")
    heard = b""
    while select.select([reader], [], [], PATIENCE)[0] and (come := os.read(reader, 99)):
        heard += come
    at_its_end = select.select([reader], [], [], 0)[0] != []  # nobody has it open any more
    os.close(reader)
    assert (heard, at_its_end) == (b"here\n", True)
    assert ended.code == 4
    assert "could not be told" in ended.err
