"""Whether git tracks a file, read from its index: compared with what git itself says."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repositories import make, of, put, run

from agentkeys.stores.files.git import CouldNotLook, Tracked, index

pytestmark = pytest.mark.usefixtures("no_git_settings")
NO_SETTINGS = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
NAMES = [".env", ".env.local", "app/.env", "app/.envs", "a/b/c/.env", "café.env", "x" * 200]


@pytest.mark.parametrize("version", ["2", "3", "4"])
@pytest.mark.parametrize("form", ["sha1", "sha256"])
def test_an_index_is_read_as_git_writes_it(tmp_path, version, form):
    """In each version, with each kind of hash; version 3 has an entry with more flags."""
    work = make(tmp_path / "work", f"--object-format={form}")
    run(work, "config", "index.version", version)
    put(work, *NAMES, "not-yet")
    run(work, "add", *NAMES)
    if version == "3":
        run(work, "add", "--intent-to-add", "not-yet")
    assert (work / ".git/index").read_bytes()[4:8] == struct.pack(">I", int(version))
    assert {of(work / name) for name in NAMES} == {Tracked.YES}
    others = ["env", ".en", ".env2", "app", "app/.en", "a/b/.env", "nowhere/.env"]
    assert {of(work / name) for name in others} == {Tracked.NO}
    run(work, "rm", "-q", "--cached", "app/.env")
    assert of(work / "app/.env") is Tracked.NO


@pytest.mark.parametrize("form", ["sha1", "sha256"])
@pytest.mark.parametrize("version", ["2", "4"])
def test_a_split_index_is_read_as_a_whole(tmp_path, form, version):
    """What the shared part has, less what was removed since, and more what was added."""
    work = make(tmp_path / "work", f"--object-format={form}")
    run(work, "config", "index.version", version)
    run(work, "config", "splitIndex.maxPercentChange", "100")
    many = [f"f{number:04}/.env" for number in range(300)]
    put(work, *many, "added/.env")
    run(work, "add", *many)
    run(work, "update-index", "--split-index")
    removed = [*many[:70:3], *many[64:200]]
    run(work, "rm", "-q", "--cached", *removed)
    run(work, "add", "added/.env")
    put(work, many[-1])
    (work / many[-1]).write_text("B=2\n")
    run(work, "add", many[-1])
    assert list((work / ".git").glob("sharedindex.*"))
    listed = set(run(work, "ls-files").split())
    assert listed == {*many, "added/.env"} - set(removed)
    ours = {name for name in [*many, "added/.env"] if of(work / name) is Tracked.YES}
    assert ours == listed


def test_a_shared_part_that_is_missing_is_no_permission(work):
    """Nobody knows what it named."""
    put(work, ".env", "b")
    run(work, "add", ".env")
    run(work, "update-index", "--split-index")
    run(work, "add", "b")
    for file in (work / ".git").glob("sharedindex.*"):
        file.unlink()
    assert "a part of git's index, does not exist" in of(work / ".env").reason


def test_a_folder_that_a_sparse_index_has_as_a_whole_is_no_permission(work):
    """What is in it is known to git alone; what is beside it is known here."""
    put(work, "in/.env", "out/.env", "out/deep/x")
    run(work, "add", ".")
    run(work, "commit", "-qm", "x")
    run(work, "sparse-checkout", "init", "--cone", "--sparse-index")
    run(work, "sparse-checkout", "set", "in")
    assert of(work / "in/.env") is Tracked.YES
    assert of(work / "outside/.env") is Tracked.NO
    for name in ("out/.env", "out/deep/.env", "out/new.env"):
        assert "run git sparse-checkout reapply --no-sparse-index" in of(work / name).reason
    run(work, "sparse-checkout", "reapply", "--no-sparse-index")
    assert of(work / "out/.env") is Tracked.YES
    assert of(work / "out/new.env") is Tracked.NO


def test_an_index_without_a_checksum_is_read(work):
    """`index.skipHash` leaves zeros, in either kind of repository."""
    put(work, ".env")
    run(work, "add", ".env")
    data = (work / ".git/index").read_bytes()
    (work / ".git/index").write_bytes(data[:-20] + bytes(20))
    assert of(work / ".env") is Tracked.YES
    assert of(work / "b") is Tracked.NO


@pytest.fixture(scope="module")
def whole_index(tmp_path_factory):
    work = make(tmp_path_factory.mktemp("whole") / "work")
    put(work, *NAMES)
    run(work, "config", "index.version", "4")
    run(work, "add", ".", **NO_SETTINGS)
    run(work, "update-index", "--split-index", **NO_SETTINGS)
    run(work, "rm", "-q", "--cached", ".env", **NO_SETTINGS)
    return (work / ".git/index").read_bytes()


@given(st.data())
@settings(deadline=None, max_examples=200, derandomize=True)
def test_a_damaged_index_is_called_so(whole_index, data):
    """Cut, changed, or made up with a checksum that is right: no other error, and no memory."""
    body = bytearray(whole_index[:-20])
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(0, len(body))) :]
    made = bytes(body) + hashlib.sha1(body, usedforsecurity=False).digest()
    try:
        [found] = index.find(made, b".env")
        if found.base is not None:
            found.base.is_removed(data.draw(st.integers(0, 1 << 33)))
    except index.DamagedError:
        pass


def test_lengths_in_an_index_are_not_believed():
    """Four thousand million entries, a run of as many bits, and a name that grows."""

    def with_checksum(body):
        return body + hashlib.sha1(body, usedforsecurity=False).digest()

    empty = struct.pack(">4sII", b"DIRC", 2, 0)
    with pytest.raises(index.DamagedError):
        index.find(with_checksum(struct.pack(">4sII", b"DIRC", 2, 0xFFFFFFFF)), b"x")
    with pytest.raises(index.DamagedError):
        index.find(with_checksum(empty + struct.pack(">4sI", b"new!", 0)), b"x")
    with pytest.raises(index.DamagedError):
        index.find(with_checksum(empty + struct.pack(">4sI", b"TREE", 0xFFFFFFFF)), b"x")
    run_of_bits = struct.pack(">IIQ", 0xFFFFFFFF, 1, 0xFFFFFFFF << 1 | 1)
    link = struct.pack(">4sI", b"link", 20 + len(run_of_bits)) + b"o" * 20 + run_of_bits
    [found] = index.find(with_checksum(empty + link), b"x")
    base = found.base
    assert base.is_removed(1 << 30)
    entry = bytes(24) + struct.pack(">I", 0o100644) + bytes(32) + struct.pack(">H", 0xFFF)
    grown = struct.pack(">4sII", b"DIRC", 4, 40) + (entry + b"\0" + b"n" * 4096 + b"\0") * 40
    with pytest.raises(index.DamagedError):
        index.find(with_checksum(grown), b"x")


def test_an_index_of_another_kind_of_file_is_no_permission(work, tmp_path):
    """A link to what never ends, a pipe that nobody writes to, a folder."""
    for place in (
        lambda file: file.symlink_to("/dev/zero"),
        os.mkfifo,
        Path.mkdir,
    ):
        place(work / ".git/index")
        assert isinstance(of(work / ".env"), CouldNotLook)
        (work / ".git/index").rename(tmp_path / place.__name__)
