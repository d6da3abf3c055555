"""A file with a secret and nothing else: what is written, what is read, and what is refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat

import pytest
from dotenvs import AS_ROOT, KEY, give, why
from programs import Program

from agentkeys import Secret
from agentkeys.stores import ABSENT, FileStore, RecognizableStore
from agentkeys.testing import store_conformance

TestFileStore = store_conformance(
    lambda folder: FileStore(folder / "key"),
    broken=lambda folder: FileStore(folder / "nowhere" / "key"),
    exchange=lambda folder: shutil.copy(folder / "key", folder / "b").replace(folder / "key"),
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "key"


@pytest.fixture
def store(file):
    return FileStore(file)


def read(store):
    return asyncio.run(store.read()).secret


def write(store, secret=KEY):
    return asyncio.run(store.write(secret))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# ---- What it holds.


def test_the_file_is_the_secret_and_nothing_else(file, store):
    """Neither a name nor a line end; a program may read it as it is."""
    write(store, Secret("clé = '#'"))
    assert file.read_bytes() == "clé = '#'".encode()


@pytest.mark.parametrize(
    ("held", "secret"),
    [
        (b"agk", "agk"),
        (b"agk\n", "agk"),
        (b"agk\r\n", "agk"),
        (b"agk\r", "agk\r"),
        (b"agk\n\n", "agk\n"),
        (b"agk\n\r\n", "agk\n"),
        (b"a\r\nb\n", "a\r\nb"),
        (b" agk ", " agk "),
        (b"", None),
        (b"\n", None),
        (b"\r\n", None),
    ],
)
def test_one_line_end_is_no_part_of_the_secret(file, store, held, secret):
    """An editor writes one, and Docker does not. A file without anything else holds none."""
    file.write_bytes(held)
    assert read(store) == (None if secret is None else Secret(secret))
    assert (asyncio.run(store.read()).version == ABSENT) is (secret is None)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_secret_that_would_be_read_without_its_end_is_refused(file, store, end):
    """And what is there stays. A carriage return alone is kept."""
    write(store, Secret("before"))
    assert "the secret ends in a line end" in why(store.write(Secret(KEY.reveal() + end)))
    assert file.read_text() == "before"
    write(store, Secret("agk\r"))
    assert read(store) == Secret("agk\r")


def test_a_version_is_that_of_the_secret(file, store):
    """Somebody who saves the file in an editor, which adds a line end, changes nothing."""
    version = write(store)
    file.write_text(KEY.reveal() + "\n")
    assert asyncio.run(store.write(Secret("agk_live_next"), expected=version)) != version


def test_a_file_can_hold_one_mebibyte(file, store):
    """More is refused before it is written, and when it is read."""
    most = 1 << 20
    write(store, Secret("n" * most))
    assert read(store) == Secret("n" * most)
    too_large = Secret(KEY.reveal() + "n" * most)
    assert f"the secret is larger than {most} bytes" in why(store.write(too_large))
    assert file.stat().st_size == most
    file.write_text(too_large.reveal())
    for call in (store.read(), store.probe(), store.write(Secret("n"))):
        assert f"it is larger than {most} bytes" in why(call)


# ---- How it is written.


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_new_file_is_for_its_owner_alone(file, store, umask):
    """Whatever the umask is, and there is nothing beside it."""
    before = os.umask(umask)
    try:
        write(store)
    finally:
        os.umask(before)
    assert mode(file) == 0o600
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o400, 0o400), (0o777, 0o600)])
def test_a_file_is_never_made_looser(file, store, before, after):
    """Others lose the right to read it, and nobody gets one."""
    file.write_text("old")
    file.chmod(before)
    write(store)
    assert mode(file) == after


@AS_ROOT
def test_a_file_keeps_its_owner(file, store):
    """Root writes into somebody's file, and it stays theirs."""
    file.write_text("old")
    give(file)
    write(store)
    assert (file.stat().st_uid, mode(file)) == (12345, 0o600)


def test_a_write_and_a_removal_are_on_the_disk(file, store, monkeypatch):
    """A file and its folder are synced when it is written, its folder when it is removed."""
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_mode), real(fd)))
    asyncio.run(store.probe())
    write(store)
    read(store)
    asyncio.run(store.remove())
    asyncio.run(store.remove())
    assert [stat.S_IFMT(each) for each in synced] == [stat.S_IFREG, stat.S_IFDIR, stat.S_IFDIR]


def test_a_removal_removes_the_file(file, store):
    """What a link leads to, and not the link: the next secret is where the first was."""
    link = file.parent / "link"
    link.symlink_to(file)
    linked = FileStore(link)
    for _ in range(2):
        write(linked)
        assert file.read_text() == KEY.reveal()
        asyncio.run(linked.remove())
        assert list(file.parent.iterdir()) == [link]


def test_what_a_killed_writer_left_is_removed(file, store):
    """By whoever uses the store next, for there is a secret in it."""
    for use in (store.read, store.probe, lambda: store.write(KEY), store.remove, store.remove):
        left = file.with_name("key.agentkeys-next")
        left.mkdir()
        (left / "key").write_text("agk_live_left")
        asyncio.run(use())
        assert set(file.parent.iterdir()) <= {file}


def test_a_place_whose_file_was_removed_is_not_recognized(file, store):
    """That it is gone does not show that the secret never was in it."""
    assert isinstance(store, RecognizableStore)
    for expected in (ABSENT, None):
        seen = []
        if expected is None:
            file.write_text("old")
        asyncio.run(store.write_noted(KEY, note=seen.append))
        asyncio.run(store.remove())
        assert not asyncio.run(store.is_as_found(seen[0]))


KILLED = """
    import asyncio, os, signal, sys
    from agentkeys import Secret
    from agentkeys.stores import FileStore

    path, what, steps = sys.argv[1], sys.argv[2], None
    store = FileStore(path)
    STEPS = {"open", "os.rename", "os.remove", "os.chmod", "os.mkdir"}

    def count(event, args):
        global steps
        if steps is not None and event in STEPS:
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    old, new = Secret("old"), Secret("n" * 5000)
    asyncio.run(store.write(old))  # all that is imported late is there by now
    killed = 0
    while True:
        child = os.fork()
        if child == 0:
            steps = killed
            asyncio.run(store.write(new) if what == "write" else store.remove())
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            break
        killed += 1
        found = asyncio.run(store.read()).secret
        print({old: "old", new: "new", None: "none"}.get(found, "neither"))
        asyncio.run(store.write(old))
        print(*os.listdir(os.path.dirname(path)))
    print("done", killed)
"""


@pytest.mark.parametrize(("what", "most"), [("write", 8), ("remove", 3)])
def test_who_is_killed_leaves_the_old_or_the_new(file, what, most):
    """Before each step: never half a secret, and nothing beside the file for long."""
    program = Program(KILLED, str(file), what)
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.code == 0, ended.err
    *rounds, last = ended.out
    assert set(rounds[::2]) <= {"old", "new", "none"}
    assert rounds[::2] == sorted(rounds[::2], key=lambda state: state != "old")
    assert set(rounds[1::2]) == {"key"}
    assert int(last.split()[1]) >= most


RIVAL = """
    import asyncio, sys
    from agentkeys import Secret, StoreConflictError
    from agentkeys.stores import ABSENT, FileStore

    store = FileStore(sys.argv[1])
    asyncio.run(store.probe())
    print("ready")
    for turn in range(20):
        sys.stdin.readline()
        try:
            asyncio.run(store.write(Secret(sys.argv[2]), expected=ABSENT))
            print("won")
        except StoreConflictError:
            print("lost")
"""


def test_one_of_many_processes_wins(file, store):
    """Of those that write at once and expect that nothing is there."""
    assert store.atomic
    rivals = {name: Program(RIVAL, str(file), name) for name in ("a", "b", "c")}
    try:
        assert [rival.read() for rival in rivals.values()] == ["ready"] * 3
        for _ in range(20):
            for rival in rivals.values():
                rival.tell()
            [winner] = [name for name, rival in rivals.items() if rival.read() == "won"]
            assert read(store) == Secret(winner)
            asyncio.run(store.remove())
    finally:
        for rival in rivals.values():
            rival.kill()
