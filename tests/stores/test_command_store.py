"""Real programs that keep a secret, or do not."""

from __future__ import annotations

import asyncio
import os
import select
import shlex
import sys

import pytest
from leaks import shown
from programs import Program

from agentkeys import ConfigurationError, InvalidArgumentError, Secret, StoreError
from agentkeys.stores import CommandStore, open_store

PATIENCE = 20.0
KEY = Secret("agk_live_0123456789abcdefghijklmnop")


def shell(script, *arguments, **settings):
    """Make a store of a shell script."""
    return CommandStore(["sh", "-c", script, "sh", *map(str, arguments)], **settings)


def write(store, secret=KEY):
    return asyncio.run(store.write(secret))


def error_of(store, secret=KEY):
    with pytest.raises(StoreError) as raised:
        write(store, secret)
    assert raised.value.store == store.describe()
    assert secret.reveal() not in shown(raised.value)
    return str(raised.value)


PYTHON = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"


@pytest.mark.parametrize(
    "command",
    [["tee"], ["cp", "/dev/stdin"], [sys.executable, "-c", PYTHON], ["dd", "status=none"]],
    ids=["tee", "cp", "python", "dd"],
)
def test_programs_get_the_secret(tmp_path, capfd, command):
    """Whether they read their standard input or open it again; what they print is not shown."""
    file = str(tmp_path / "kept")
    write(CommandStore([*command, f"of={file}" if command[0] == "dd" else file]))
    assert (tmp_path / "kept").read_text() == KEY.reveal()
    assert capfd.readouterr() == ("", "")


def test_an_address_is_quoted_as_in_a_shell_and_run_without_one(tmp_path, monkeypatch):
    """Nothing in it is filled in; the program's path is absolute, so that it is found again."""
    monkeypatch.chdir(tmp_path)
    store = open_store("command:tee '$(touch hacked) two words'")
    write(store)
    assert [each.name for each in tmp_path.iterdir()] == ["$(touch hacked) two words"]
    program = shlex.split(store.address.removeprefix("command:"))[0]
    assert os.path.isabs(program)  # noqa: PTH117
    assert open_store(store.address).address == store.address


def test_the_secret_is_no_argument_and_in_no_environment(tmp_path):
    """Others could read both."""
    if not os.path.isdir("/proc/self"):  # noqa: PTH112
        pytest.skip("there is no /proc on this machine")
    write(shell('cat >"$1/kept"; cat /proc/$$/cmdline /proc/$$/environ >"$1/seen"', tmp_path))
    seen = (tmp_path / "seen").read_bytes().decode(errors="replace")
    assert "/kept" in seen
    assert KEY.reveal() not in seen


def test_a_program_gets_the_environment_without_our_credentials(tmp_path, monkeypatch):
    """It needs its user's home and its own credentials, and not ours."""
    monkeypatch.setenv("VAULT_TOKEN", "its own")
    for name in ("AGENTITY_PASSWORD", "AGENTITY_ACCESS_TOKEN", "AGENTRY_API_KEY"):
        monkeypatch.setenv(name, "ours")
    write(shell('cat >/dev/null; env >"$1/seen"', tmp_path))
    seen = (tmp_path / "seen").read_text()
    assert "VAULT_TOKEN=its own" in seen
    assert f"HOME={os.environ['HOME']}" in seen
    assert "ours" not in seen


def test_a_program_that_fails_says_why():
    """Its code and its last line are in the error, and what the state is."""
    error = error_of(shell("cat >&-; echo usage >&2; echo 'not logged in' >&2; exit 3"))
    assert "it exited with code 3" in error
    assert "it is not known whether it has kept the secret" in error
    assert error.endswith("Its error output: not logged in")


def test_a_program_that_is_killed_has_failed():
    """A signal is named."""
    assert "it was killed by signal 9" in error_of(shell("cat >/dev/null; kill -9 $$"))


# A program whose status is lost: it fails, and must not pass for one that has kept the secret.
LOST = """
    import asyncio, os, signal, subprocess, sys, threading
    from agentkeys import Secret, StoreError
    from agentkeys.stores import CommandStore

    way = sys.argv[1]
    if way == "ignored":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def reap(event, args):
        # Whoever waits for any child gets the status of this one.
        if event == "subprocess.Popen":
            threading.Thread(target=reaped).start()

    def reaped():
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                if left.wait(0.001):
                    return

    left = threading.Event()
    if way == "reaped":
        sys.addaudithook(reap)
    for code in (0, 3):
        store = CommandStore(["sh", "-c", f"cat >/dev/null; exit {code}"])
        try:
            asyncio.run(store.write(Secret("x")))
            print("kept")
        except StoreError as error:
            print(error)
    left.set()
"""


@pytest.mark.parametrize("way", ["ignored", "reaped"])
def test_a_program_whose_status_is_lost_has_not_kept(way):
    """SIGCHLD is ignored, as a parent may leave it, or something else waits for every child."""
    program = Program(LOST, way)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert len(ended.out) == 2, ended.err
    for said in ended.out:
        assert "its exit code is not known" in said
        assert "it is not known whether it has kept the secret" in said


@pytest.mark.parametrize(
    "printed",
    ["cat", "cat | cut -c 10-17", "base64", "od -An -tx1 | tr -d ' \\n'", "cat /dev/stdin"],
)
@pytest.mark.parametrize("code", [0, 3])
def test_a_program_that_prints_the_secret_shows_nothing(capfd, printed, code):
    """Neither the whole of it nor a piece, as it is or encoded, on either stream."""
    store = shell(f"text=$({printed}); echo $text; echo saved $text >&2; exit {code}")
    if code:
        assert error_of(store).endswith("whether it has kept the secret")
    else:
        write(store)
    assert capfd.readouterr() == ("", "")


def test_a_program_that_does_not_read_has_not_kept():
    """`true` succeeds, and the secret would be gone."""
    assert "it ended without reading the secret" in error_of(CommandStore(["true"]))
    assert "it ended without reading the secret" in error_of(shell("head -c 5 >/dev/null"))


def test_much_output_holds_nobody_up():
    """A program that prints more than a pipe holds ends all the same."""
    write(shell("cat >/dev/null; head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero"))


def test_a_secret_that_no_pipe_holds_is_refused(tmp_path):
    """And the program is not run."""
    error = error_of(shell('touch "$1/run"; cat', tmp_path), Secret("x" * 2_000_000))
    assert "longer than a pipe holds" in error
    assert list(tmp_path.iterdir()) == []


HANG = 'cat >/dev/null; exec 3>"$1"; sleep 60 & echo ready >&3; wait'


async def hung(fifo):
    """Wait until the program hangs; return what hears the end of it and of all it has started."""
    alive = await asyncio.to_thread(os.open, fifo, os.O_RDONLY)
    assert os.read(alive, 6) == b"ready\n"
    return alive


def heard_the_end(alive):
    """Tell whether nobody has the other end open any more, or soon will not."""
    ready, _, _ = select.select([alive], [], [], PATIENCE)
    ended = bool(ready) and os.read(alive, 1) == b""
    os.close(alive)
    return ended


def test_a_program_that_hangs_is_killed(tmp_path):
    """In time, and with all that it has started."""
    os.mkfifo(tmp_path / "fifo")

    async def run():
        writing = asyncio.ensure_future(shell(HANG, tmp_path / "fifo", timeout=0.3).write(KEY))
        alive = await hung(tmp_path / "fifo")
        with pytest.raises(StoreError, match="did not end in time and was killed") as raised:
            await writing
        assert KEY.reveal() not in shown(raised.value)
        assert await asyncio.to_thread(heard_the_end, alive)

    asyncio.run(run())


def test_a_cancelled_write_kills_the_program(tmp_path):
    """With all that it has started, before the cancellation goes on."""
    os.mkfifo(tmp_path / "fifo")

    async def run():
        writing = asyncio.ensure_future(shell(HANG, tmp_path / "fifo").write(KEY))
        alive = await hung(tmp_path / "fifo")
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert heard_the_end(alive)

    asyncio.run(run())


def test_what_a_program_leaves_running_holds_nobody_up(tmp_path):
    """An agent that it has started in the background goes on."""
    os.mkfifo(tmp_path / "fifo")
    write(
        shell(
            'cat >/dev/null; { read line <"$1"; echo "$line" >"$1.read"; } & exit 0',
            tmp_path / "fifo",
        )
    )
    (tmp_path / "fifo").write_text("go on\n")


def test_a_program_that_is_not_there_is_found_at_once(tmp_path):
    """When the store is made; and by the probe, if it has gone since."""
    with pytest.raises(ConfigurationError, match="there is no program 'nowhere-to-be-found'"):
        open_store("command:nowhere-to-be-found --now")
    program = tmp_path / "keep"
    program.write_text("#!/bin/sh\ncat >/dev/null\n")
    program.chmod(0o700)
    store = CommandStore([str(program)])
    asyncio.run(store.probe())
    write(store)
    program.unlink()
    with pytest.raises(StoreError, match="the program no longer exists"):
        asyncio.run(store.probe())
    assert "it cannot be run: No such file" in error_of(store)


def test_what_is_no_program_cannot_be_run(tmp_path):
    """The system says so."""
    program = tmp_path / "keep"
    program.write_bytes(b"\x7fELF nonsense")
    program.chmod(0o700)
    assert "it cannot be run" in error_of(CommandStore([str(program)]))


@pytest.mark.parametrize("address", ["command:", "command:sh 'x", "command:  ", "command:''"])
def test_a_bad_command_is_refused(address):
    """With a sentence."""
    with pytest.raises(InvalidArgumentError, match=r"command"):
        open_store(address)


@pytest.mark.parametrize("command", ["tee kept", [], [""], ["tee", 5], ["tee", "a\0b"], None])
def test_bad_arguments_are_refused(command):
    """With a sentence."""
    with pytest.raises(InvalidArgumentError, match="a command must be a list of str"):
        CommandStore(command)


@pytest.mark.parametrize("timeout", [0, -1, "5", None])
def test_a_bad_timeout_is_refused(timeout):
    """With a sentence."""
    with pytest.raises(InvalidArgumentError, match="timeout must be more than 0 seconds"):
        CommandStore(["tee"], timeout=timeout)
