"""A dotenv file in a repository: what git keeps, or would, and what a clone brings."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys

import pytest
from dotenvs import AS_ROOT, KEY, NAME, give, killed_at, refused

from agentkeys import Secret, StoreError
from agentkeys.stores import DotenvStore, open_store


def write(store, secret=KEY):
    return asyncio.run(store.write(secret))


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


@pytest.fixture
def repository(tmp_path):
    def git(*command):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607

    git("init", "-q")
    (tmp_path / ".env").write_text("A=1\n")
    (tmp_path / "[.]env").write_text("A=1\n")
    git("add", ".env")
    return tmp_path


def test_a_file_that_git_tracks_is_refused(repository):
    """By the probe and by the write, and the text says what permits it."""
    store = DotenvStore(repository / ".env", NAME)
    for call in (store.probe(), store.write(KEY), store.remove()):
        with pytest.raises(StoreError, match=r"git tracks it.*allow_tracked=True"):
            asyncio.run(awaited(call))
    assert (repository / ".env").read_text() == "A=1\n"
    asyncio.run(store.read())


async def awaited(call):
    return await call


def test_a_tracked_file_that_is_gone_is_refused(repository):
    """Git would take it into the next commit all the same."""
    (repository / ".env").unlink()
    with pytest.raises(StoreError, match="git tracks it"):
        write(DotenvStore(repository / ".env", NAME))


def test_a_tracked_file_can_be_permitted(repository):
    """By an argument, and in an address."""
    write(DotenvStore(repository / ".env", NAME, allow_tracked=True))
    write(open_store(f"dotenv:{repository}/.env#B?allow_tracked"), Secret("b"))
    assert (repository / ".env").read_text() == f"A=1\n{NAME}=agk_live_a_new_key\nB=b\n"


def test_git_is_asked_for_this_file_alone(repository, monkeypatch):
    """Its name is no pattern, and the environment's repository is not the one that counts."""
    write(DotenvStore(repository / "[.]env", NAME))
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))
    with pytest.raises(StoreError, match="git tracks it"):
        write(DotenvStore(repository / ".env", NAME))


def test_what_git_tracks_is_refused_where_there_is_no_git(repository, monkeypatch):
    """As in a container: the commit is made elsewhere."""
    monkeypatch.setenv("PATH", str(repository))
    with pytest.raises(StoreError, match="git tracks it"):
        write(DotenvStore(repository / ".env", NAME))
    write(DotenvStore(repository / "[.]env", NAME))


def test_a_git_that_cannot_tell_is_no_permission(repository):
    """A repository that is damaged may track the file."""
    (repository / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="it is not known whether git tracks"):
        asyncio.run(DotenvStore(repository / "[.]env", NAME).probe())


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
    assert "it is not known whether git tracks it: detected dubious ownership" in reason
    assert f"git config --global --add safe.directory {tmp_path}. Or use" in reason
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(tmp_path))
    asyncio.run(DotenvStore(tmp_path / ".env", NAME).write(KEY))
