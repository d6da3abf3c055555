"""A dotenv file where others are at work: in a shared folder, in a user's folder, in a clone."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from programs import Program

from agentkeys import Secret, StoreError
from agentkeys.stores import DotenvStore

NAME = "BOT_KEY"
KEY = Secret("agk_live_a_new_key")
OTHER = 12345
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


def refused(path):
    """Return why, which a probe says and a write; a read says it or finds nothing."""
    said = set()
    for call in (DotenvStore(path, NAME).probe, lambda: DotenvStore(path, NAME).write(KEY)):
        with pytest.raises(StoreError) as raised:
            asyncio.run(call())
        said.add(str(raised.value).partition(": ")[2])
    (reason,) = said
    return reason


def git(folder, *command):
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *command],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"},
        check=True,
    )
    return done.stdout


# ---- A folder that everybody may write to.


@pytest.fixture(params=[0o1777, 0o777], ids=["sticky", "not sticky"])
def shared(tmp_path, request):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(request.param)
    return folder


def give(path):
    os.chown(path, OTHER, OTHER, follow_symlinks=False)


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


KILLED = """
    import asyncio, os, signal, sys
    from agentkeys import Secret
    from agentkeys.stores import DotenvStore

    def kill(event, args):
        if event == sys.argv[2]:
            os.kill(os.getpid(), signal.SIGKILL)

    store = DotenvStore(sys.argv[1], "BOT_KEY")
    sys.addaudithook(kill)
    asyncio.run(store.write(Secret("new")))
"""


def killed_at(event, path):
    """Kill a writer at an event: a rename is the moment at which all is prepared."""
    program = Program(KILLED, str(path), event)
    try:
        assert program.end().code == -signal.SIGKILL
    finally:
        program.kill()


@AS_ROOT
@pytest.mark.parametrize("event", ["os.rename", "os.chmod", "os.mkdir"])
def test_what_root_leaves_when_it_is_killed_blocks_no_user(users_folder, event):
    """The lock and the folder of the next content are given to the owner of the folder."""
    killed_at(event, users_folder / ".env")
    assert list(users_folder.iterdir())
    assert as_user(users_folder / ".env") == [".env"]


# ---- What lies beside the file while it is written.

PATTERNS = {
    ".env": [".env", "*.env", ".env*", ".env.*\n.env", "/.env", "/.env*", "**/.env", "*"],
    "prod.env": ["prod.env", "*.env", "prod.*", "/prod.env"],
    ".env.local": [".env.local", ".env.*", ".env*", ".env*.local", "*.local"],
}


@pytest.mark.parametrize("name", PATTERNS)
def test_nothing_beside_the_file_can_get_into_a_commit(tmp_path, name):
    """Whatever the pattern that covers the file: a killed writer leaves nothing to `git add .`."""
    git(tmp_path, "init", "-q")
    (tmp_path / name).write_text("A=1\n")
    killed_at("os.rename", tmp_path / name)
    left = {each for each in tmp_path.rglob("*") if ".git" not in each.parts and each.is_file()}
    assert any("new" in each.read_text() for each in left)
    for pattern in PATTERNS[name]:
        (tmp_path / ".gitignore").write_text(f"{pattern}\n")
        git(tmp_path, "add", ".")
        # The file of the lock is empty.
        assert set(git(tmp_path, "ls-files").split()) <= {".gitignore", f"{name}.agentkeys-lock"}
        (tmp_path / ".git/index").unlink(missing_ok=True)


def test_what_git_tracks_beside_the_file_is_refused(tmp_path):
    """Somebody has added what a killed writer of an older version left."""
    git(tmp_path, "init", "-q")
    for beside in (".env.agentkeys-next/.env",):
        (tmp_path / beside).parent.mkdir()
        (tmp_path / beside).write_text("A=1\n")
        git(tmp_path, "add", "-f", beside)
        shutil.rmtree((tmp_path / beside).parent)
        assert f"git tracks {tmp_path / beside}" in refused(tmp_path / ".env")


def test_what_a_version_before_left_is_removed(tmp_path):
    """It was a file, and not a folder."""
    (tmp_path / ".env.agentkeys-next").write_text("BOT_KEY=agk_live_left\n")
    asyncio.run(DotenvStore(tmp_path / ".env", NAME).read())
    assert list(tmp_path.iterdir()) == []


# ---- What git would take.


def warnings_of(caplog):
    return [each.getMessage() for each in caplog.records if each.name == "agentkeys"]


def test_a_file_that_git_neither_tracks_nor_ignores_is_warned_of_once(tmp_path, caplog):
    """Before the first secret goes in, be it by a probe or a write; not when it is read."""
    git(tmp_path, "init", "-q")
    store = DotenvStore(tmp_path / ".env", NAME)
    with caplog.at_level(logging.WARNING):
        asyncio.run(store.read())
        asyncio.run(store.remove())
        assert warnings_of(caplog) == []
        asyncio.run(store.probe())
        (said,) = warnings_of(caplog)
        asyncio.run(store.write(KEY))
        asyncio.run(DotenvStore(tmp_path / ".env", "ANOTHER").write(KEY))
        assert warnings_of(caplog) == [said]
        asyncio.run(DotenvStore(tmp_path / "b.env", NAME).write(KEY))
    assert "git neither tracks nor ignores" in said
    assert "add a line '.env' to .gitignore" in said
    assert len(warnings_of(caplog)) == 2


@pytest.mark.parametrize("why", ["ignored", "permitted", "no repository"])
def test_a_file_that_is_no_trouble_is_not_warned_of(tmp_path, caplog, why):
    """Git ignores it, it is allowed to be tracked, or there is no git."""
    if why != "no repository":
        git(tmp_path, "init", "-q")
    if why == "ignored":
        (tmp_path / ".gitignore").write_text(".env\n")
    with caplog.at_level(logging.WARNING):
        store = DotenvStore(tmp_path / ".env", NAME, allow_tracked=why == "permitted")
        asyncio.run(store.probe())
        asyncio.run(store.write(KEY))
    assert warnings_of(caplog) == []


def test_the_command_line_shows_the_warning(tmp_path, monkeypatch):
    """On the standard error, before the key is made."""
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    command = ["--local", "agentity", "create", "bot", "--save", f"dotenv:.env#{NAME}"]
    done = subprocess.run(
        [sys.executable, "-m", "agentkeys", *command], capture_output=True, text=True, check=True
    )
    assert "git neither tracks nor ignores" in done.stderr
    assert "git" not in done.stdout


# ---- A clone.


def test_a_clone_runs_no_program(tmp_path):
    """A folder of it is a bare repository whose settings name one, to fetch what is not there."""
    inner, outer, victim = (tmp_path / name for name in ("inner", "outer", "victim"))
    for folder in (inner, outer):
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
    for name in ("in", "out"):
        (inner / name).mkdir()
        (inner / name / "file").write_text(name)
    git(inner, "add", ".")
    git(inner, "commit", "-qm", "x")
    git(inner, "sparse-checkout", "init", "--cone", "--sparse-index")
    git(inner, "sparse-checkout", "set", "in")
    tree = git(inner, "rev-parse", "HEAD:out").strip()
    (inner / ".git/objects" / tree[:2] / tree[2:]).unlink()
    (outer / "app").mkdir()
    for name in ("HEAD", "objects", "refs", "index", "info"):
        copy = shutil.copytree if (inner / ".git" / name).is_dir() else shutil.copy
        copy(inner / ".git" / name, outer / "app" / name)
    for name in ("objects", "refs"):
        (outer / "app" / name / "keep").touch()
    (outer / "app/config").write_text(
        f"""
        [core]
            repositoryformatversion = 1
            worktree = .
            sparseCheckout = true
            sparseCheckoutCone = true
            fsmonitor = touch {tmp_path}/ran
        [index]
            sparse = true
        [extensions]
            partialClone = evil
        [remote "evil"]
            url = ext::touch {tmp_path}/ran
            promisor = true
        [protocol "ext"]
            allow = always
        """
    )
    (outer / ".gitignore").write_text(".env\n")
    git(outer, "add", "-f", ".")
    git(outer, "commit", "-qm", "x")
    git(tmp_path, "clone", "-q", outer, victim)
    asyncio.run(DotenvStore(victim / "app/.env", NAME).probe())
    asyncio.run(DotenvStore(victim / "app/.env", NAME).write(KEY))
    assert not (tmp_path / "ran").exists()


@AS_ROOT
def test_a_repository_that_git_would_not_read_is_refused_with_its_remedy(tmp_path, monkeypatch):
    """A checkout that is mounted into a container has another owner."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(tmp_path, "init", "-q")
    for each in (tmp_path, *tmp_path.rglob("*")):
        give(each)
    reason = refused(tmp_path / ".env")
    assert "git could not say whether it tracks it: detected dubious ownership" in reason
    assert f"git config --global --add safe.directory {tmp_path}. Or use" in reason
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path))
    asyncio.run(DotenvStore(tmp_path / ".env", NAME).write(KEY))
