"""In which repository a file lies, and whether that one can be believed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from repositories import make, of, put, run

from agentkeys.stores.files import git
from agentkeys.stores.files.git import CouldNotLook, Tracked

pytestmark = pytest.mark.usefixtures("no_git_settings")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


def test_a_repository_in_a_clone_that_is_none_of_its_own_is_passed_over(work):
    """A folder with HEAD, config, objects, refs and index (bare) has no say."""
    put(work, "app/.env")
    run(work, "add", ".")
    inner = make(work.parent / "inner")
    for each in (inner / ".git").iterdir():
        (shutil.copytree if each.is_dir() else shutil.copy)(each, work / "app" / each.name)
    assert of(work / "app/.env") is Tracked.YES
    assert of(work / "app/other") is Tracked.NO


@pytest.mark.parametrize("left", ["nothing", "objects", "a loop", "a HEAD of something else"])
def test_a_dot_git_that_is_no_repository_hides_none_around_it(work, left):
    """As git, which goes on upwards."""
    put(work, "app/.env")
    run(work, "add", ".")
    inner = work / "app/.git"
    if left == "a loop":
        inner.symlink_to("nowhere")
    else:
        inner.mkdir()
    if left in {"objects", "a HEAD of something else"}:
        (inner / "objects").mkdir()
        (inner / "refs").mkdir()
    if left == "a HEAD of something else":
        (inner / "HEAD").write_text("hello")
    assert run(work / "app", "ls-files") == ".env\n"
    assert of(work / "app/.env") is Tracked.YES


def test_the_nearest_repository_is_the_one(work):
    """A repository in a repository has files of its own."""
    put(work, "app/.env", "app/b")
    run(work, "add", ".")
    make(work / "app")
    run(work / "app", "add", "b")
    assert of(work / "app/.env") is Tracked.NO
    assert of(work / "app/b") is Tracked.YES


def test_linked_worktrees_and_submodules_are_followed(work, tmp_path):
    """By the file `.git`, with an absolute and with a relative path in it."""
    put(work, ".env", "b")
    run(work, "add", ".")
    run(work, "commit", "-qm", "x")
    run(work, "worktree", "add", "-q", "../linked")
    linked = tmp_path / "linked"
    run(linked, "rm", "-q", "--cached", ".env")
    assert (of(linked / ".env"), of(linked / "b")) == (Tracked.NO, Tracked.YES)
    run(linked, "update-index", "--split-index")
    assert (of(linked / ".env"), of(linked / "b")) == (Tracked.NO, Tracked.YES)
    outer = make(tmp_path / "outer")
    run(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(work), "sub")
    assert of(outer / "sub/.env") is Tracked.YES
    assert of(outer / "sub/new") is Tracked.NO
    (tmp_path / "outer/sub/.git").write_text("gitdir: nowhere\n")
    assert "does not name a repository" in of(outer / "sub/.env").reason


def test_a_worktree_that_is_elsewhere_is_found(work):
    """`core.worktree` says where the index's names begin."""
    put(work, ".env", "app/.env", "app/b")
    run(work, "add", "app/.env")
    run(work, "config", "core.worktree", str(work / "app"))
    run(work / "app", "add", "b")
    assert of(work / "app/b") is Tracked.YES


def test_the_environment_names_no_other_repository(work, tmp_path, monkeypatch):
    """Who commits the file later does so without it."""
    put(work, ".env")
    run(work, "add", ".env")
    monkeypatch.setenv("GIT_DIR", str(make(tmp_path / "other") / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "/dev/null")
    monkeypatch.setenv("GIT_WORK_TREE", "/")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(work))
    assert of(work / ".env") is Tracked.YES


def test_no_program_is_run_for_it(work, tmp_path, monkeypatch):
    """Not git, and nothing that the settings of a repository name, whatever these are."""
    put(work, ".env")
    run(work, "add", ".env")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    trap.chmod(0o700)
    with (work / ".git/config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {trap}\n\tpager = {trap}\n\tsshCommand = {trap}\n")
        config.write(f"[alias]\n\tls-files = !{trap}\n[include]\n\tpath = /dev/zero\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").symlink_to(trap)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    assert of(work / ".env") is Tracked.YES
    assert git.is_exposed(str(work / "b"))
    assert not (tmp_path / "ran").exists()


def test_another_spelling_is_the_same_file_where_the_disk_says_so(work):
    """Capital letters count on this disk; a hard link stands for one on which they do not."""
    put(work, ".ENV", "app/CAFÉ.env")
    run(work, "add", ".")
    assert of(work / ".env") is Tracked.NO
    put(work, ".env")
    assert of(work / ".env") is Tracked.NO
    (work / ".env").unlink()
    (work / ".env").hardlink_to(work / ".ENV")
    (work / "app/cafe\u0301.env").hardlink_to(work / "app/CAFÉ.env")
    assert of(work / ".env") is Tracked.YES
    assert of(work / "app/cafe\u0301.env") is Tracked.YES


@ROOT
def test_a_repository_of_another_owner_is_refused_in_the_words_of_git(others):
    """With the reason, and the command that permits it; as git itself refuses it."""
    refused = subprocess.run(
        ["git", "ls-files"],  # noqa: S607
        cwd=others,
        capture_output=True,
        text=True,
        check=False,
    )
    command = f"git config --global --add safe.directory {others}"
    assert command in refused.stderr
    for name in (".env", "b"):
        reason = of(others / name).reason
        assert f"detected dubious ownership in repository at '{others}'" in reason
        assert command in reason


@ROOT
@pytest.mark.parametrize("whose", ["", ".git", "worktree"])
def test_one_part_of_another_owner_is_enough(work, whose):
    """The folder, git's own folder, or that of the linked worktree."""
    put(work, ".env")
    run(work, "add", ".env")
    run(work, "commit", "-qm", "x")
    run(work, "worktree", "add", "-q", "../linked")
    os.chown(work / ".git/worktrees/linked" if whose == "worktree" else work / whose, 12345, 1)
    file = work.parent / "linked/.env" if whose == "worktree" else work / ".env"
    assert "belongs to another user" in of(file).reason


WAYS = {
    "count": {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "x",
        "GIT_CONFIG_KEY_1": "Safe.Directory",
        "GIT_CONFIG_VALUE_1": "{work}",
    },
    "all": {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    },
    "parameters": {"GIT_CONFIG_PARAMETERS": "'user.name'='x' 'safe.directory'='{work}'"},
    "global": {"GIT_CONFIG_GLOBAL": "{home}/elsewhere"},
    "system": {"GIT_CONFIG_SYSTEM": "{home}/elsewhere", "GIT_CONFIG_NOSYSTEM": ""},
    "home": {},
    "xdg": {"XDG_CONFIG_HOME": "{home}/xdg"},
    "own": {},
}
FILES = {
    "global": "elsewhere",
    "system": "elsewhere",
    "home": ".gitconfig",
    "xdg": "xdg/git/config",
    "own": ".config/git/config",
}


@ROOT
@pytest.mark.parametrize("way", WAYS)
def test_a_safe_directory_counts_wherever_it_is_set(others, monkeypatch, way):
    """In each file and variable in which git looks for it."""
    home = Path(os.environ["HOME"])
    for name, value in WAYS[way].items():
        monkeypatch.setenv(name, value.format(work=others, home=home))
    if way in FILES:
        file = home / FILES[way]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"[safe]\n\tdirectory = {others}\n")
    assert run(others, "ls-files") == ".env\n"
    assert (of(others / ".env"), of(others / "b")) == (Tracked.YES, Tracked.NO)


CONFIGS = {
    '[safe]\n\tdirectory = "{work}" ; mine\n': True,
    "# x\n[user] name = x\n[SAFE]directory={work}\n": True,
    "[safe]\n\tdirectory = \\\n{work}\n": True,
    "[safe]\n\tdirectory = *\n": True,
    "[safe]\n\tdirectory = {work}\n\tdirectory =\n": False,
    "[safe]\n\tdirectory =\n\tdirectory = {work}\n": True,
    "[safe]\n\tdirectory = {work}/app\n": False,
    "[safe]\n\tdirectory = {work}2\n": False,
    '[safe "x"]\n\tdirectory = {work}\n': False,
    "[safe]\n; directory = {work}\n": False,
    "[include]\n\tpath = more\n": True,
    '[includeIf "gitdir:/nowhere/"]\n\tpath = more\n': False,
    "[include]\n\tpath = .gitconfig\n": False,
}


@ROOT
@pytest.mark.parametrize("text", CONFIGS)
def test_settings_are_read_as_git_reads_them(others, text):
    """Quotes, comments, lines that go on, an empty value that takes back, files that include."""
    home = Path(os.environ["HOME"])
    (home / ".gitconfig").write_text(text.format(work=others))
    (home / "more").write_text(f"[safe]\n\tdirectory = {others}\n")
    asked = subprocess.run(
        ["git", "ls-files"],  # noqa: S607
        cwd=others,
        capture_output=True,
        check=False,
    )
    if "path = .gitconfig" not in text:  # git gives up on a circle
        assert (asked.stdout == b".env\n") is CONFIGS[text]
    assert (of(others / "b") is Tracked.NO) is CONFIGS[text]


@ROOT
def test_every_repository_below_a_folder_can_be_safe(others):
    """A newer git has `/*` for that."""
    gitconfig = Path(os.environ["HOME"], ".gitconfig")
    gitconfig.write_text(f"[safe]\n\tdirectory = {others.parent}/*\n")
    assert of(others / "b") is Tracked.NO
    gitconfig.write_text(f"[safe]\n\tdirectory = {others}/*\n")
    assert isinstance(of(others / "b"), CouldNotLook)


@ROOT
def test_a_repository_of_who_called_sudo_is_ours(others, monkeypatch):
    """As for git."""
    monkeypatch.setenv("SUDO_UID", "12345")
    assert run(others, "ls-files") == ".env\n"
    assert of(others / ".env") is Tracked.YES
