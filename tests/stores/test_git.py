"""Whether git tracks or ignores a file, found without git: compared with what git itself says."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkeys.stores import git
from agentkeys.stores.git import CouldNotLook, Tracked, ignore, index

NO_SETTINGS = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    (tmp_path / "home").mkdir()


def run(folder, *command, **settings_):
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *name, *command],  # noqa: S607
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | settings_,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def make(folder, *options):
    folder.mkdir(parents=True, exist_ok=True)
    run(folder, "init", "-q", "-b", "main", *options)
    return folder


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("A=1\n")


@pytest.fixture
def work(tmp_path):
    return make(tmp_path / "work")


def of(path):
    return git.tracked(str(path))


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
    assert "a part of git's index, is not there" in of(work / ".env").reason


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
        found = index.find(made, b".env")
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
    base = index.find(with_checksum(empty + link), b"x").base
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
    assert "names no repository" in of(outer / "sub/.env").reason


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


@pytest.fixture
def others(work):
    put(work, ".env", "b")
    run(work, "add", ".env")
    for each in (work, *work.rglob("*")):
        os.chown(each, 12345, 12345)
    return work


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
        assert (asked.returncode == 0) is CONFIGS[text]
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


PATHS = [".env", "prod.env", ".env.local", "app/.env", "app/b/.env", "app/b/c.env", "foo/.env"]
# Without `a**/b`, which git reads otherwise than it says.
PATTERNS = [
    ".env",
    "/.env",
    "*.env",
    ".env*",
    ".env.*",
    "app",
    "app/",
    "/app/*",
    "app/**",
    "app/**/.env",
    "**/.env",
    "**/b/.env",
    "b/.env",
    "/b/",
    "!.env",
    "!app/.env",
    "*\n!.env",
    "*\n!*/\n!.env",
    "app/\n!app/.env",
    "app/*\n!app/b/\n!app/b/.env",
    "# .env",
    "\\#x",
    "\\.env",
    ".env   ",
    ".env\\ ",
    ".env\r",
    ".e?v",
    ".[a-f]nv",
    ".[!a]nv",
    ".[^e]nv",
    ".[[:alpha:]]nv",
    ".[]e]nv",
    ".[e",
    ".[[:none:]]nv",
    "[.]env",
    ".[\\e]nv",
    "*e*n*v",
    "**",
    "/**",
    "*/",
    "/",
    "",
    "!",
    "app/*/.env",
    "*/.env",
    ".env\\",
    "[z-a]env",
    "?env",
    "app/b/**/c.env",
    "**/**/.env",
    "[[a]]env",
    ".[e-]nv",
    ".[--f]nv",
]


@pytest.mark.parametrize("where", [".gitignore", "app/.gitignore", ".git/info/exclude", "own"])
def test_patterns_mean_what_they_mean_for_git(work, where):
    """Compared with `git check-ignore`, for each pattern, path and place of patterns."""
    put(work, *PATHS)
    file = Path(os.environ["HOME"], ".config/git/ignore") if where == "own" else work / where
    file.parent.mkdir(parents=True, exist_ok=True)
    for pattern in PATTERNS:
        file.write_bytes(f"{pattern}\n".encode())
        theirs = ignored_by_git(work, PATHS)
        ours = {path for path in PATHS if not git.is_exposed(str(work / path))}
        assert ours == theirs, pattern


def ignored_by_git(work, paths):
    done = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"],  # noqa: S607
        cwd=work,
        input="\0".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return set(done.stdout.split("\0")) - {""}


def test_the_nearest_file_of_patterns_counts(work):
    """Then that of the folder above, `info/exclude`, and the user's own file."""
    put(work, *PATHS)
    (work / ".gitignore").write_text("*.env\n!prod.env\napp/b\n")
    (work / "app/.gitignore").write_text("!.env\n")
    (work / "app/b/.gitignore").write_text("!*\n")
    (work / ".git/info/exclude").write_text("prod.env\n.env.local\n")
    more = Path(os.environ["HOME"], "more")
    Path(os.environ["HOME"], ".gitconfig").write_text("[core]\n\texcludesFile = ~/more\n")
    more.write_text("foo\n!.env.local\n")
    ours = {path for path in PATHS if not git.is_exposed(str(work / path))}
    assert ours == ignored_by_git(work, PATHS)
    assert ours == {".env", "foo/.env", "app/b/.env", "app/b/c.env", ".env.local"}


def test_a_file_of_patterns_that_is_a_link_is_no_gitignore(work, tmp_path):
    """As git has it: what it leads to is not the repository's."""
    (tmp_path / "patterns").write_text(".env\n")
    (work / ".gitignore").symlink_to(tmp_path / "patterns")
    assert ignored_by_git(work, [".env"]) == set()
    assert git.is_exposed(str(work / ".env"))
    (work / ".gitignore").unlink()
    (work / ".gitignore").symlink_to("/dev/zero")
    assert git.is_exposed(str(work / ".env"))


TEXTS = st.text(st.sampled_from("ab*?[]!\\/.-^ "), max_size=8)


@given(st.lists(TEXTS, max_size=3), st.text(st.sampled_from("ab.-/^]"), min_size=1, max_size=7))
@settings(deadline=None, max_examples=300, derandomize=True)
def test_no_pattern_is_an_error(lines, path):
    """Whatever stands in a .gitignore."""
    ignore.verdict(ignore.parse("\n".join(lines)), path.split("/"), is_folder=False)


def test_no_pattern_takes_long():
    """Many stars, in a name and for folders."""
    name = "a" * 250
    patterns = ignore.parse("*a" * 120 + "*b\n" + "a*" * 100 + "b\n" + "**/a/" * 100 + "b\n")
    assert ignore.verdict(patterns, [name], is_folder=False) is None
    assert ignore.verdict(patterns, ["a"] * 500, is_folder=False) is None


def test_without_a_repository_nothing_is_exposed(tmp_path):
    """And nothing is within git's own folder."""
    assert not git.is_exposed(str(tmp_path / ".env"))
    assert of(tmp_path / ".env") is Tracked.NO
    work = make(tmp_path / "work")
    assert not git.is_exposed(str(work / ".git/.env"))
    assert git.is_exposed(str(work / ".env"))
