"""Whether git ignores a file: compared with what git itself says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from repositories import make, of, put

from agentkeys.stores.files import git
from agentkeys.stores.files.git import Tracked, ignore

pytestmark = pytest.mark.usefixtures("no_git_settings")

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
