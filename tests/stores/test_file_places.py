"""Where a file with a secret may be: what is refused there, what git does, and its address."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import stat
import subprocess
import sys

import pytest
from dotenvs import AS_ROOT, KEY, give, killed_at, why

from agentkeys import InvalidArgumentError, Secret
from agentkeys.stores import FileStore, open_store


@pytest.fixture
def file(tmp_path):
    return tmp_path / "key"


@pytest.fixture
def store(file):
    return FileStore(file)


def read(store):
    return asyncio.run(store.read()).secret


# ---- What cannot be a secret's file.


def missing_folder(tmp_path):
    return tmp_path / "nowhere" / "key"


def below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "key"


def a_folder(tmp_path):
    (tmp_path / "key").mkdir()
    return tmp_path / "key"


def a_pipe(tmp_path):
    os.mkfifo(tmp_path / "key")
    return tmp_path / "key"


def a_socket(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "key"))
    return tmp_path / "key"


def a_device(tmp_path):
    try:
        os.mknod(tmp_path / "key", 0o600 | stat.S_IFCHR, os.makedev(60, 0))  # no driver has it
    except PermissionError:
        pytest.skip("only root can make a device")
    return tmp_path / "key"


def a_loop(tmp_path):
    (tmp_path / "key").symlink_to("key")
    return tmp_path / "key"


def no_unicode(tmp_path):
    (tmp_path / "key").write_bytes(b"somebody-elses\xff")
    return tmp_path / "key"


PLACES = {
    missing_folder: "its folder does not exist: create it",
    below_a_file: "a part of its path is a file",
    a_folder: "it is not a regular file",
    a_pipe: "it is not a regular file",
    a_socket: "it is not a regular file",
    a_device: "it is not a regular file",
    a_loop: "symbolic links",
    no_unicode: "it is not UTF-8",
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_place_that_cannot_be_used_says_why(tmp_path, place):
    """At once, whatever is done; and nothing is left behind."""
    path = place(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    store = FileStore(path)
    for call in (store.probe, store.read, store.look, lambda: store.write(KEY), store.remove):
        assert PLACES[place] in why(call())
    assert sorted(tmp_path.rglob("*")) == before


@AS_ROOT
def test_what_somebody_else_may_have_planted_is_not_read(tmp_path, file, store):
    """In a folder that everybody may write to; root's own is read, and theirs in a private one."""
    file.write_text("agk_live_theirs\n")
    give(file)
    assert read(store) == Secret("agk_live_theirs")
    tmp_path.chmod(0o1777)
    assert "belongs to another user" in why(store.read())
    os.chown(file, 0, 0)
    assert read(store) == Secret("agk_live_theirs")


def git(folder, *command):
    subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)  # noqa: S607


@pytest.mark.usefixtures("no_git_settings")
def test_a_file_that_git_tracks_is_refused(tmp_path, file, store):
    """By all that changes it; `?allow_tracked` permits it, and reading needs no permission."""
    git(tmp_path, "init", "-q")
    file.write_text("somebody-elses")
    git(tmp_path, "add", "key")
    for call in (store.probe, lambda: store.write(KEY), store.remove):
        assert re.search(r"git tracks it.*allow_tracked=True", why(call()))
    assert read(store) == Secret("somebody-elses")
    asyncio.run(open_store(f"file:{file}?allow_tracked").write(KEY))
    assert file.read_text() == KEY.reveal()


@pytest.mark.usefixtures("no_git_settings")
def test_nothing_of_a_killed_writer_gets_into_a_commit(tmp_path, file, caplog):
    """A pattern that names the file is enough; without one there is a warning."""
    git(tmp_path, "init", "-q")
    with caplog.at_level(logging.WARNING):
        asyncio.run(FileStore(file).probe())
    assert "add a line 'key' to .gitignore" in caplog.text
    (tmp_path / ".gitignore").write_text("key\n")
    killed_at("os.rename", file, "file:{}")
    assert (tmp_path / "key.agentkeys-next/key").read_text() == "new"
    git(tmp_path, "add", ".")
    listed = subprocess.check_output(["git", "ls-files"], cwd=tmp_path, text=True)  # noqa: S607
    assert set(listed.split()) <= {".gitignore", "key.agentkeys-lock"}


# ---- Its address.


def test_an_address_leads_there_from_anywhere(tmp_path, monkeypatch):
    """It is absolute; a # is part of a path, and so is a ? that is not the last."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, address in {
        "key": f"{tmp_path}/key",
        "~/key": f"{tmp_path}/home/key",
        "a#b/../c#d": f"{tmp_path}/c#d",
        "key?allow_tracked": f"{tmp_path}/key?allow_tracked",
        "what?/key?": f"{tmp_path}/what?/key?",
        "key?allow_tracked?": f"{tmp_path}/key?allow_tracked?",
        "key??allow_tracked": f"{tmp_path}/key??allow_tracked",
        "key?": f"{tmp_path}/key",
    }.items():
        store = open_store(f"file:{given}")
        assert store.address == f"file:{address}"
        again = open_store(store.address)
        assert (again.address, again.path) == (store.address, store.path)
        assert repr(again) == repr(store)


@pytest.mark.parametrize("path", ["key", "key?", "k?y", "key?allow_tracked", "#", "a b\\"])
@pytest.mark.parametrize("allow", [False, True])
def test_every_path_has_an_address(tmp_path, path, allow):
    """Which leads to that file alone, and says whether git may track it."""
    store = FileStore(tmp_path / path, allow_tracked=allow)
    again = open_store(store.address)
    assert (again.path, repr(again)) == (str(tmp_path / path), repr(store))


@pytest.mark.parametrize("address", ["file:", "file:k\0y", "file:key?allow_trackd", "file:?"])
def test_a_bad_address_is_refused(address):
    """With a sentence. What is mistyped is not taken for a part of the path."""
    with pytest.raises(InvalidArgumentError, match=r"file:PATH|path|address"):
        open_store(address)


def test_it_needs_no_extra():
    """The standard library is enough."""
    code = "from agentkeys.stores import FileStore; FileStore('x'); import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"dotenv", "keyring", "aiohttp"} & set(done.stdout.split())
