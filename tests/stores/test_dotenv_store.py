"""A dotenv file that somebody else uses, too."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat

import pytest
from dotenv import dotenv_values
from programs import Program

from agentkeys import Secret
from agentkeys.stores import ABSENT, DotenvStore, open_store

NAME = "AGENTITY_API_KEY"
KEY = Secret("agk_live_a_new_key")
LOCK = ".agentkeys-lock"
NEXT = ".agentkeys-next"


@pytest.fixture
def file(tmp_path):
    return tmp_path / ".env"


@pytest.fixture
def store(file):
    return DotenvStore(file, NAME)


def write(store, secret=KEY):
    return asyncio.run(store.write(secret))


def mode(file):
    return stat.S_IMODE(file.stat().st_mode)


def test_a_whole_file_keeps_its_bytes(file, store):
    """The byte order mark, comments, blank lines, quotes and line ends are those of before."""
    before = (
        b"\xef\xbb\xbf# caf\xc3\xa9\r\n\r\nA = 'x'  # y\r\nexport AGENTITY_API_KEY=\r\n\tB=\"\\n\""
    )
    file.write_bytes(before)
    write(store)
    assert file.read_bytes() == before.replace(b"KEY=", b"KEY=agk_live_a_new_key")


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf%s=old\nB=2\n" % NAME.encode(),
        b"\xef\xbb\xbf\r\nA=1\r\n%s=old\r\n" % NAME.encode(),
        b"\xef\xbb\xbfexport %s='old' # x" % NAME.encode(),
    ],
    ids=["alone", "before the entry", "before another", "before export"],
)
def test_python_dotenv_reads_what_was_written_behind_a_byte_order_mark(file, store, before):
    """Under its name, and no other: an editor may have put the mark there."""
    file.write_bytes(before)
    asyncio.run(store.probe())
    write(store)
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert dotenv_values(file)[NAME] == KEY.reveal()
    assert asyncio.run(store.read()).secret == KEY
    asyncio.run(store.remove())
    assert NAME not in dotenv_values(file)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_new_file_is_for_its_owner_alone(file, store, umask):
    """Whatever the umask is, and there is nothing beside it."""
    before = os.umask(umask)
    try:
        write(store)
    finally:
        os.umask(before)
    assert mode(file) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [".env"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (0o644, 0o600),
        (0o666, 0o600),
        (0o640, 0o600),
        (0o700, 0o600),
        (0o600, 0o600),
        (0o400, 0o400),
    ],
)
def test_a_file_is_never_made_looser(file, store, before, after):
    """Others lose the right to read it, and nobody gets one."""
    file.write_text("A=1\n")
    file.chmod(before)
    write(store)
    assert mode(file) == after


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_keeps_its_owner(file, store):
    """Root writes into somebody's file, and it stays theirs."""
    file.write_text("A=1\n")
    os.chown(file, 12345, 23456)
    write(store)
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 23456)
    assert mode(file) == 0o600


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed_and_kept(tmp_path, store, file, there):
    """Also one that leads to no file yet."""
    real = tmp_path / "shared" / "real.env"
    real.parent.mkdir()
    if there:
        real.write_text("A=1\n")
    file.symlink_to("shared/real.env")
    asyncio.run(store.probe())
    write(store)
    assert file.is_symlink()
    assert real.read_text() == ("A=1\n" if there else "") + f"{NAME}=agk_live_a_new_key\n"
    assert [each.name for each in real.parent.iterdir()] == ["real.env"]


def test_an_entry_without_a_value_is_none(file, store):
    """A template's `NAME=` is no secret that anybody could lose."""
    file.write_text(f"{NAME}=\n")
    assert asyncio.run(store.read()).version == ABSENT
    asyncio.run(store.write(KEY, expected=ABSENT))
    assert file.read_text() == f"{NAME}=agk_live_a_new_key\n"


def test_an_address_leads_there_from_anywhere(tmp_path, monkeypatch):
    """It is absolute, whatever it was made of, and parameters are in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_store("dotenv:.env#A").address == f"dotenv:{tmp_path}/.env#A"
    assert open_store("dotenv:a#b/../.env#A").address == f"dotenv:{tmp_path}/.env#A"
    assert open_store("dotenv:~/.env#A").address == f"dotenv:{tmp_path}/home/.env#A"
    tracked = open_store("dotenv:.env#A?allow_tracked")
    assert tracked.address == f"dotenv:{tmp_path}/.env#A?allow_tracked"
    assert open_store(tracked.address).address == tracked.address


def test_one_fsync_of_the_file_and_one_of_its_folder(file, store, monkeypatch):
    """That is what a write costs; a probe and a read cost none."""
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_mode), real(fd)))
    asyncio.run(store.probe())
    assert synced == []
    write(store)
    asyncio.run(store.read())
    assert [stat.S_IFMT(each) for each in synced] == [stat.S_IFREG, stat.S_IFDIR]


def test_what_does_not_change_is_not_written(file, store):
    """Writing the same again touches nothing."""
    write(store)
    before = file.stat()
    write(store)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.fixture
def held(file):
    """Hold the lock, as another process that writes would."""
    with open(f"{file}{LOCK}", "w") as lock:  # noqa: PTH123
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    file.with_name(file.name + LOCK).unlink(missing_ok=True)


def test_a_writer_waits_for_another(file, store, held):
    """And a reader does not."""
    file.write_text("A=1\n")

    async def wait():
        writing = asyncio.ensure_future(store.write(KEY))
        assert (await store.read()).secret is None
        assert not writing.done()
        fcntl.flock(held, fcntl.LOCK_UN)
        await writing
        assert (await store.read()).secret == KEY

    asyncio.run(wait())


def test_who_waits_can_be_cancelled(file, store, held):
    """The one who is cancelled before it is their turn has changed nothing."""
    file.write_text("A=1\n")

    async def cancel():
        writing = asyncio.ensure_future(store.write(KEY))
        await store.read()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        fcntl.flock(held, fcntl.LOCK_UN)
        assert (await store.read()).secret is None

    asyncio.run(cancel())
    assert file.read_text() == "A=1\n"


def test_what_a_killed_writer_left_is_removed(file, store):
    """By whoever uses the store next, and be it to read; for there is a secret in it."""
    file.write_text("A=1\n")
    for use in (store.read, store.probe, lambda: store.write(KEY), store.remove):
        left = file.with_name(file.name + NEXT)
        left.write_text(f"{NAME}=agk_live_left\n")
        asyncio.run(use())
        assert [each.name for each in file.parent.iterdir()] == [".env"]


def test_what_a_living_writer_writes_is_left_alone(file, store, held):
    """A reader removes nothing from under it."""
    file.write_text("A=1\n")
    left = file.with_name(file.name + NEXT)
    left.write_text("half")
    asyncio.run(store.read())
    assert left.exists()


WRITER = """
    import asyncio, sys
    from agentkeys import Secret
    from agentkeys.stores import DotenvStore

    async def main(path, who):
        print("ready")
        sys.stdin.readline()
        for number in range(25):
            await DotenvStore(path, f"{who}_{number}").write(Secret(f"agk_live_{who}{number}"))

    asyncio.run(main(*sys.argv[1:]))
"""


def test_writers_lose_nothing_of_each_other(file):
    """Processes that write different names at once: all of them are there in the end."""
    file.write_text("# mine\nA=1\n")
    writers = [Program(WRITER, str(file), who) for who in ("B", "C", "D")]
    try:
        for writer in writers:
            assert writer.read() == "ready"
        for writer in writers:
            writer.tell()
        assert [writer.end().err for writer in writers] == ["", "", ""]
    finally:
        for writer in writers:
            writer.kill()
    lines = file.read_text().splitlines()
    assert lines[:2] == ["# mine", "A=1"]
    assert sorted(lines[2:]) == sorted(
        f"{who}_{number}=agk_live_{who}{number}" for who in "BCD" for number in range(25)
    )


# What the writer before removes the lock's file between its opening and its locking, when another
# writer has a new one already: a lock on a file that is gone keeps nobody out.
OVERTAKEN = """
    import asyncio, fcntl, os, sys
    from agentkeys import Secret
    from agentkeys.stores import DotenvStore

    path = sys.argv[1]
    lock = path + ".agentkeys-lock"
    others = None

    def overtake(event, args):
        global others
        if event == "fcntl.flock" and others is None:
            others = -1
            os.unlink(lock)
            others = os.open(lock, os.O_CREAT | os.O_RDWR)
            fcntl.flock(others, fcntl.LOCK_EX)

    async def main():
        store = DotenvStore(path, "N")
        sys.addaudithook(overtake)
        writing = asyncio.ensure_future(store.write(Secret("new")))
        while others in {None, -1}:
            await asyncio.sleep(0)
        done, _ = await asyncio.wait({writing}, timeout=0.2)
        print("done" if done else "waits", (await store.read()).secret)
        fcntl.flock(others, fcntl.LOCK_UN)
        await writing
        print((await store.read()).secret == Secret("new"))

    asyncio.run(main())
"""


def test_a_lock_that_was_removed_keeps_nobody_out(file):
    """Who gets one looks whether it is still the one that others see."""
    program = Program(OVERTAKEN, str(file))
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.out == ["waits None", "True"], ended.err


# Kills a writer before each of its steps in turn: an audit hook sees all that touches a file.
KILLED = """
    import asyncio, os, signal, sys, threading
    from agentkeys import Secret
    from agentkeys.stores import DotenvStore

    path = sys.argv[1]
    store = DotenvStore(path, "N")
    steps = None
    STEPS = {"open", "os.rename", "os.remove", "os.chmod", "fcntl.flock"}

    def count(event, args):
        global steps
        if steps is not None and event in STEPS:
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    asyncio.run(store.write(Secret("old")))  # all that is imported late is there by now
    new = Secret("n" * 5000)
    killed = 0
    while True:
        child = os.fork()
        if child == 0:
            steps = killed
            asyncio.run(store.write(new))
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
        killed += 1
        found = asyncio.run(store.read()).secret
        print("old" if found == Secret("old") else "new" if found == new else "neither")
        print(*sorted(set(os.listdir(os.path.dirname(path))) - {".env.agentkeys-lock"}))
        asyncio.run(store.write(Secret("old")))
    print("done", killed, *os.listdir(os.path.dirname(path)))
"""


def test_a_killed_writer_leaves_the_old_or_the_new(file):
    """Killed before each step, it never leaves half a file, and nothing beside it for long."""
    program = Program(KILLED, str(file))
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.code == 0, ended.err
    *rounds, last = ended.out
    states, folders = rounds[::2], rounds[1::2]
    assert states == sorted(states, reverse=True)
    assert set(states) == {"old", "new"}
    assert set(folders) == {".env"}
    done, killed, *left = last.split()
    assert (done, left) == ("done", [".env"])
    assert int(killed) >= 8
