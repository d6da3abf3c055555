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


def a_link_for_the_lock(folder, target):
    (folder / ".env.agentkeys-lock").symlink_to(target)
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
        a_link_for_the_lock,
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
    import asyncio, hmac, os, sys
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
    assert f"the lock file {lock} cannot be opened: it belongs to root" in said
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


@AS_ROOT
def test_root_gives_nobody_a_file_that_a_link_leads_to(users_folder, tmp_path):
    """The owner of the folder makes the lock a hard link to a file of root's, or a link."""
    secret = users_folder.parent / "roots"
    secret.write_text("")
    lock = users_folder / ".env.agentkeys-lock"
    lock.hardlink_to(secret)
    asyncio.run(DotenvStore(users_folder / ".env", NAME).write(KEY))
    assert secret.stat().st_uid == 0
    lock.symlink_to(secret)
    assert f"the lock file {lock} cannot be opened" in refused(users_folder / ".env")
    assert secret.stat().st_uid == 0


# What the owner of a folder does while root writes there: at each step, links are in the way.
EXCHANGED = """
    import asyncio, os, sys
    from agentkeys import Secret, StoreError
    from agentkeys.stores import DotenvStore

    path, target, event_name, number = *sys.argv[1:4], int(sys.argv[4])
    folder = path + ".agentkeys-next"

    def exchange(event, args):
        global number
        if event == event_name and os.path.isdir(folder) and not os.path.islink(folder):
            number -= 1
            if number == 0:
                os.rename(folder, folder + "-moved")
                os.symlink(target, folder)

    store = DotenvStore(path, "BOT_KEY")
    sys.addaudithook(exchange)
    try:
        asyncio.run(store.write(Secret("new")))
    except StoreError:
        pass
    print("done")
"""


@AS_ROOT
@pytest.mark.parametrize(
    ("event", "number"), [("open", 1), ("os.chmod", 1), ("open", 2), ("os.chown", 1), ("open", 3)]
)
def test_root_writes_into_no_folder_that_takes_the_place_of_its_own(users_folder, event, number):
    """Nothing is made there, given away, or made readable."""
    target = users_folder.parent / "target"
    target.mkdir(mode=0o750)
    program = Program(EXCHANGED, str(users_folder / ".env"), str(target), event, str(number))
    try:
        assert program.end().out == ["done"]
    finally:
        program.kill()
    assert (users_folder / ".env.agentkeys-next-moved").exists()
    assert list(target.iterdir()) == []
    assert (target.stat().st_uid, target.stat().st_mode & 0o777) == (0, 0o750)
