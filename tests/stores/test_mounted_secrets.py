"""Secrets that Docker, Kubernetes and systemd mount as files: they are read, and say who writes.

Each is a real disk, mounted as these programs mount it, for a program that runs as another user.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from dotenvs import AS_ROOT
from mounts import on_mounts

SECRET = "agk_live_mounted"
# A leftover beside the secret, which cannot be removed, keeps nobody from reading.
DOCKER = """
    mount -t tmpfs -o mode=755 none mount
    printf agk_live_mounted >mount/key
    chmod 444 mount/key
    mkdir mount/key.agentkeys-next
    mount -o remount,ro mount
"""
# Docker Compose without a swarm: a file of the host, by itself, which belongs to whom it did there.
COMPOSE = """
    mount -t tmpfs -o mode=755 none mount
    touch mount/key
    printf agk_live_mounted >real
    chown 23456 real
    mount --bind real mount/key
"""
KUBERNETES = """
    mount -t tmpfs -o mode=1777 none mount
    mkdir mount/..2026_12_01
    printf agk_live_mounted >mount/..2026_12_01/key
    ln -s ..2026_12_01 mount/..data
    ln -s ..data/key mount/key
"""
NESTED = """
    mount -t tmpfs -o mode=1777 none mount
    mkdir -p mount/..2026_12_01/a/b
    printf agk_live_mounted >mount/..2026_12_01/a/b/key
    ln -s ..2026_12_01 mount/..data
    ln -s ..data/a mount/a
"""
READ_ONLY = """
    mount -o remount,ro mount
"""
SYSTEMD = """
    mount -t tmpfs -o mode=755 none mount
    printf 'agk_live_mounted\\n' >mount/key
    chmod 400 mount/key
    chmod 500 mount
    chown -R 12345 mount
    mount -o remount,ro mount
"""
FULL = """
    mount -t tmpfs -o size=32k,uid=12345,mode=700 none mount
    printf agk_live_mounted >mount/key
    chown 12345 mount/key
    head -c 28k /dev/zero >mount/else || true
"""

USE = """
    import asyncio, os, sys
    from agentkeys import Secret, StoreError
    from agentkeys.stores import FileStore

    store, other = FileStore("mount/" + sys.argv[2]), FileStore("key")
    # All that is imported late is there by now, for that user may not be able to.
    asyncio.run(other.write(Secret("x")))
    assert asyncio.run(other.read()).secret == Secret("x")
    os.setgid(12345)
    os.setuid(12345)
    before = sorted(os.listdir("mount"))
    for call in (store.probe, lambda: store.write(Secret("n" * 3000)), store.remove):
        print(asyncio.run(store.read()).secret == Secret(sys.argv[1]))
        try:
            print(asyncio.run(call()))
        except StoreError as error:
            print(error)
    print(asyncio.run(store.look()).secret == Secret(sys.argv[1]))
    print(before == sorted(os.listdir("mount")))
"""


@pytest.fixture
def folder():
    """Return a folder that another user can reach, and in it one where something is mounted."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "mount").mkdir()
        yield Path(name)


READ_ONLY_DISK = "the disk is read-only: use another path, or mount it writable"
OF_KUBERNETES = "Kubernetes mounts it, and would undo the change: write the Secret itself"
MOUNTS = {
    "docker": (DOCKER, READ_ONLY_DISK),
    "compose": (COMPOSE, "it is a mount point"),
    "kubernetes": (KUBERNETES + READ_ONLY, OF_KUBERNETES),
    "kubernetes, writable": (KUBERNETES, OF_KUBERNETES),
    "kubernetes, nested": (NESTED, OF_KUBERNETES),
    "systemd": (SYSTEMD, READ_ONLY_DISK),
}


@AS_ROOT
@pytest.mark.parametrize("how", MOUNTS)
def test_a_mounted_secret_is_read_and_not_written(folder, how):
    """By a user to whom it belongs not; nothing is tried that leaves a trace."""
    mount, reason = MOUNTS[how]
    path = "a/b/key" if mount is NESTED else "key"
    *lines, is_unchanged = on_mounts(folder, mount, USE, SECRET, path)
    assert (lines[::2], is_unchanged) == (["True"] * 4, "True")
    for each in lines[1::2]:
        assert str(folder / "mount" / path) in each
        assert reason in each


@AS_ROOT
def test_a_full_disk_is_found_by_the_probe(folder):
    """A write that was not probed leaves the secret of before; a removal needs no room."""
    lines = on_mounts(folder, FULL, USE, SECRET, "key")
    for each in lines[1:4:2]:
        assert "the disk is full: free some space" in each
    assert lines[:6:2] == ["True"] * 3
    assert lines[5:] == ["None", "False", "False"]  # it was removed


EXCHANGED = """
    import asyncio, os
    from agentkeys import Secret
    from agentkeys.stores import FileStore

    store = FileStore("mount/key")
    print(asyncio.run(store.read()).secret == Secret("agk_live_mounted"))
    os.mkdir("mount/..2026_12_02")
    open("mount/..2026_12_02/key", "w").write("agk_live_next")
    os.symlink("..2026_12_02", "mount/..data_tmp")
    os.rename("mount/..data_tmp", "mount/..data")
    print(asyncio.run(store.read()).secret == Secret("agk_live_next"))
"""


def test_what_kubernetes_exchanges_is_read_next(folder):
    """The links are followed anew at each reading, for credentials that rotate."""
    assert on_mounts(folder, KUBERNETES, EXCHANGED) == ["True", "True"]
