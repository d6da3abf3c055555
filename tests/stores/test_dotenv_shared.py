"""A dotenv file where others are at work: in a shared folder, in a user's folder."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import pytest
from dotenvs import AS_ROOT, KEY, NAME, OTHER, give, killed_at, refused
from programs import Program

from agentkeys.stores import DotenvStore

# ---- A folder that everybody may write to.


@pytest.fixture(params=[0o1777, 0o777], ids=["sticky", "not sticky"])
def shared(tmp_path, request):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(request.param)
    return folder


def a_file(folder, _):
    (folder / ".env").write_text("A=1\n")
    give(folder / ".env")
    return folder / ".env"


def a_link(folder, target):
    (folder / ".env").symlink_to(target)
    give(folder / ".env")
    return folder / ".env"


def a_link_for_a_folder(folder, target):
    (folder / "app").symlink_to(target.parent)
    give(folder / "app")
    return folder / "app" / target.name


def a_folder(folder, _):
    (folder / "app").mkdir()
    give(folder / "app")
    return folder / "app/.env"


def a_link_behind_a_link(folder, target):
    (folder / "theirs").symlink_to(target)
    give(folder / "theirs")
    (target.parent / "mine").symlink_to(folder / "theirs")
    return target.parent / "mine"


def a_lock(folder, _):
    (folder / ".env.agentkeys-lock").touch()
    give(folder / ".env.agentkeys-lock")
    return folder / ".env"


def the_next_content(folder, _):
    (folder / ".env.agentkeys-next").mkdir()
    give(folder / ".env.agentkeys-next")
    return folder / ".env"


def a_link_for_the_next_content(folder, target):
    (folder / ".env.agentkeys-next").symlink_to(target.parent)
    give(folder / ".env.agentkeys-next")
    return folder / ".env"


@AS_ROOT
@pytest.mark.parametrize(
    "planted",
    [
        a_file,
        a_link,
        a_link_for_a_folder,
        a_folder,
        a_link_behind_a_link,
        a_lock,
        the_next_content,
        a_link_for_the_next_content,
    ],
    ids=lambda planted: planted.__name__,
)
def test_what_somebody_else_put_into_a_shared_folder_is_refused(tmp_path, shared, planted):
    """For root as well: anybody can make a file or a link there that waits for a secret."""
    (tmp_path / "mine").mkdir()
    target = tmp_path / "mine/target"
    target.write_text("A=1\n")
    path = planted(shared, target)
    before = sorted(tmp_path.rglob("*"))
    assert f"belongs to another user (uid {OTHER})" in refused(path)
    assert sorted(tmp_path.rglob("*")) == before
    assert target.read_text() == "A=1\n"


@AS_ROOT
def test_what_is_ours_in_a_shared_folder_is_used(shared):
    """And somebody's file in a folder that is not shared: root may write for them."""
    (shared / ".env").write_text("A=1\n")
    (shared / "link").symlink_to(shared / ".env")
    asyncio.run(DotenvStore(shared / "link", NAME).write(KEY))
    assert (shared / ".env").read_text() == f"A=1\n{NAME}={KEY.reveal()}\n"
    theirs = shared / "own"
    theirs.mkdir(mode=0o755)
    (theirs / ".env").write_text("A=1\n")
    give(theirs / ".env")
    asyncio.run(DotenvStore(theirs / ".env", NAME).write(KEY))


# ---- What root leaves in a user's folder.

AS_USER = """
    import asyncio, os, sys
    from agentkeys import Secret, StoreError
    from agentkeys.stores import DotenvStore

    store = DotenvStore(sys.argv[1], "BOT_KEY")  # all that is imported late is there by now
    os.setgid(12345)
    os.setuid(12345)
    try:
        asyncio.run(store.write(Secret("new")))
    except StoreError as error:
        print(error)
    print(*sorted(os.listdir(os.path.dirname(sys.argv[1]))))
"""


@pytest.fixture
def users_folder():
    """Return a folder of another user, which that user can reach."""
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o711)  # noqa: PTH101, S103  # for the user
        folder = Path(parent, "home")
        folder.mkdir()
        give(folder)
        yield folder


def as_user(path):
    program = Program(AS_USER, str(path))
    try:
        ended = program.end()
    finally:
        program.kill()
    assert ended.code == 0, ended.err
    return ended.out


@AS_ROOT
def test_a_lock_that_root_left_is_named(users_folder):
    """What is in the way is a file that its user may remove, and not a right that they lack."""
    lock = users_folder / ".env.agentkeys-lock"
    lock.touch(mode=0o600)
    said, _ = as_user(users_folder / ".env")
    assert f"{lock}, the file of a lock, cannot be opened: it belongs to root" in said
    assert "remove the file" in said
    lock.unlink()
    assert as_user(users_folder / ".env") == [".env"]


@AS_ROOT
@pytest.mark.parametrize("event", ["os.rename", "os.chmod", "os.mkdir"])
def test_what_root_leaves_when_it_is_killed_blocks_no_user(users_folder, event):
    """The lock and the folder of the next content are given to the owner of the folder."""
    killed_at(event, users_folder / ".env")
    assert list(users_folder.iterdir())
    assert as_user(users_folder / ".env") == [".env"]
