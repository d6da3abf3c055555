"""What cannot be written is said before anything is lost, and shows nothing of what is there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess

import pytest
from leaks import shown
from mounts import on_mounts
from programs import Program

from agentkeys import InvalidArgumentError, Secret, StoreError
from agentkeys.stores import DotenvStore, open_store

NAME = "AGENTITY_API_KEY"
KEY = Secret("agk_live_a_new_key")
OTHERS = "OTHER='somebody-elses-secret'\n"


def error_of(call):
    async def awaited():
        await call

    with pytest.raises(StoreError) as raised:
        asyncio.run(awaited())
    return raised.value


def missing_folder(tmp_path):
    return tmp_path / "nowhere" / ".env"


def below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / ".env"


def in_proc(tmp_path):
    if not os.path.isdir("/proc/self"):  # noqa: PTH112
        pytest.skip("there is no /proc on this machine")
    return "/proc/.env"


def a_folder(tmp_path):
    (tmp_path / ".env").mkdir()
    return tmp_path / ".env"


def a_pipe(tmp_path):
    os.mkfifo(tmp_path / ".env")
    return tmp_path / ".env"


def a_loop(tmp_path):
    (tmp_path / ".env").symlink_to(".env")
    return tmp_path / ".env"


def no_unicode(tmp_path):
    (tmp_path / ".env").write_bytes(OTHERS.encode() + b"\xff\n")
    return tmp_path / ".env"


def twice(tmp_path):
    (tmp_path / ".env").write_text(f"{NAME}=somebody-elses-secret\n{OTHERS}export {NAME}=2\n")
    return tmp_path / ".env"


PLACES = {
    missing_folder: "its folder does not exist: create it",
    below_a_file: "a part of its path is a file",
    in_proc: "its folder does not exist|permission was denied",
    a_folder: "[Ii]s a directory|it is not a regular file",
    a_pipe: "it is not a regular file",
    a_loop: "symbolic links",
    no_unicode: "it is not UTF-8",
    twice: "the file has this name more than once",
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_place_that_cannot_be_used_says_why(tmp_path, place):
    """A probe finds it, and a write that was not probed does; nothing is left behind."""
    path = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    store = DotenvStore(path, NAME)
    for call in (store.probe(), store.write(KEY)):
        error = error_of(call)
        assert re.search(PLACES[place], str(error))
        assert error.store == store.describe()
        assert "somebody-elses-secret" not in shown(error)
        assert KEY.reveal() not in shown(error)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_refused_secret_shows_nothing(tmp_path):
    """Neither itself nor what else is in the file."""
    (tmp_path / ".env").write_text(OTHERS)
    error = error_of(DotenvStore(tmp_path / ".env", NAME).write(Secret("agk_live_x${HOME}")))
    assert "python-dotenv would not return" in str(error)
    assert "somebody-elses-secret" not in shown(error)
    assert "agk_live_x" not in shown(error)
    assert (tmp_path / ".env").read_text() == OTHERS


@pytest.mark.parametrize(
    "address",
    [
        "dotenv:.env",
        "dotenv:#A",
        "dotenv:.env#",
        "dotenv:.env#1A",
        "dotenv:.env#A-B",
        "dotenv:.env#Ä",
        "dotenv:.env#A B",
        "dotenv:.env#A?allow_trackd",
        "dotenv:.e\0nv#A",
    ],
)
def test_a_bad_address_is_refused(address):
    """With a sentence, and before anything is looked at."""
    with pytest.raises(InvalidArgumentError, match=r"dotenv|path"):
        open_store(address)


@pytest.mark.parametrize(("path", "name"), [(5, "A"), (b".env", "A"), ("", "A"), (".env", None)])
def test_bad_arguments_are_refused(path, name):
    """With a sentence."""
    with pytest.raises(InvalidArgumentError, match=r"must be|is empty"):
        DotenvStore(path, name)


def test_a_missing_extra_says_what_to_install():
    """When the store is made, and so before anything is sent."""
    code = """
        import sys
        sys.modules["dotenv"] = None
        from agentkeys import ConfigurationError
        from agentkeys.stores import open_store
        try:
            open_store("dotenv:.env#A")
        except ConfigurationError as error:
            print(error)
        try:
            from agentkeys.stores import DotenvStore
        except ConfigurationError as error:
            print(error)
    """
    program = Program(code)
    try:
        ended = program.end()
    finally:
        program.kill()
    sentence = "the dotenv store needs python-dotenv: pip install 'agentkeys-sdk[issue]'"
    assert ended.out == [sentence, sentence], ended.err


# A process of its own, for a limit holds for all that it writes.
LIMITED = """
    import asyncio, os, resource, sys
    from agentkeys import Secret, StoreError
    from agentkeys.stores import DotenvStore

    path = sys.argv[1]
    store = DotenvStore(path, "N")
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
    for call in (store.probe, lambda: store.write(Secret("n" * 3000))):
        try:
            asyncio.run(call())
        except StoreError as error:
            print(error)
    print(os.path.getsize(path), *os.listdir(os.path.dirname(path)))
"""


def test_a_file_that_cannot_grow_is_left_as_it_is(tmp_path):
    """A quota ends the probe, and it would end the write, with nothing changed."""
    (tmp_path / ".env").write_text("A=" + "a" * 4000)
    program = Program(LIMITED, str(tmp_path / ".env"))
    try:
        ended = program.end()
    finally:
        program.kill()
    probe, write, left = ended.out
    assert "cannot keep a secret in N" in probe
    assert "too large" in probe
    assert "too large" in write
    assert left == "4002 .env"


ON_A_DISK = """
    import asyncio, os
    from agentkeys import Secret, StoreError
    from agentkeys.stores import DotenvStore

    os.chdir("disk")
    store = DotenvStore("env", "N")
    for call in (store.probe, lambda: store.write(Secret("n" * 3000))):
        try:
            asyncio.run(call())
        except StoreError as error:
            print(error)
    print(os.path.getsize("env"), *sorted(os.listdir()))
"""
FULL = """
    mount -t tmpfs -o size=32k none disk
    printf A=1 >disk/env
    head -c 28k /dev/zero >disk/else || true
"""
READ_ONLY = """
    printf A=1 >disk/env
    mount --bind disk disk
    mount -o remount,bind,ro disk
"""
BY_ITSELF = """
    printf A=1 >disk/env
    printf B=2 >real
    mount --bind real disk/env
"""
# In the list of mounts these stand as numbers: a tab, a line end, a backslash, a space, a #.
ODD = r"""
    odd="deep/$(printf 'a\tb\nc\\d\\040 #e')"
    mkdir -p "$odd"
    printf A=1 >"$odd/env"
    printf B=2 >real
    mount --bind real "$odd/env"
    ln -s "../$odd/env" disk/env
"""


@pytest.mark.parametrize(
    ("mount", "reason", "left"),
    [
        (FULL, "the disk is full: free some space", "3 else env"),
        (READ_ONLY, "the disk is read-only: use another path", "3 env"),
        (BY_ITSELF, "it is a mount point: mount its folder instead", "3 env"),
        (ODD, "it is a mount point: mount its folder instead", "3 env"),
    ],
    ids=["full", "read-only", "by itself", "by itself, with an odd name"],
)
def test_a_disk_that_takes_nothing_is_found_by_the_probe(tmp_path, mount, reason, left):
    """A full one, a read-only one, and a file that is mounted by itself, as in a container."""
    (tmp_path / "disk").mkdir()
    probe, write, state = on_mounts(tmp_path, mount, ON_A_DISK)
    assert reason in probe
    assert reason in write
    assert state == left


@pytest.fixture
def protect(tmp_path):
    """Return what protects a file or folder until the test is over."""

    def chattr(*command):
        return subprocess.call(["chattr", *command], stderr=subprocess.DEVNULL)  # noqa: S607

    (tmp_path / "try").touch()
    if not shutil.which("chattr") or chattr("+i", tmp_path / "try"):
        pytest.skip("nobody can protect files here")
    chattr("-i", tmp_path / "try")
    (tmp_path / "try").unlink()
    yield chattr
    chattr("-R", "-i", tmp_path)
    chattr("-R", "-a", tmp_path)


@pytest.mark.parametrize("how", ["+i", "+a"])
@pytest.mark.parametrize("what", ["file", "folder", "file behind a link"])
def test_a_protected_file_is_found_by_the_probe(tmp_path, protect, how, what):
    """It cannot be replaced, or its folder can only grow: nothing is left in it."""
    (tmp_path / "app").mkdir()
    env = tmp_path / "app/.env"
    env.write_text("A=1\n")
    (tmp_path / "link").symlink_to(env)
    before = sorted(tmp_path.rglob("*"))
    protected = tmp_path / "app" if what == "folder" else env
    protect(how, protected)
    store = DotenvStore(tmp_path / "link" if "link" in what else env, NAME)
    for call in (store.probe(), store.write(KEY)):
        assert f"{protected} is protected (chattr +i or +a): run chattr" in str(error_of(call))
    assert sorted(tmp_path.rglob("*")) == before
    assert asyncio.run(store.read()).secret is None
