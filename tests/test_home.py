"""The folders that the environment names: each is found, or an error says what to set."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest
from programs import Program

from agentkeys import ConfigurationError, filesystem, home
from agentkeys.stores import open_store

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = [home.state_folder, home.data_folder]
both = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.__name__)


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "AGENTKEYS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@both
@pytest.mark.parametrize(
    ("value", "where"), [("~", ""), ("~/keys", "keys"), ("{}/a b", "a b"), ("{}/~", "~")]
)
def test_a_home_is_a_full_path_or_below_the_home_directory(
    monkeypatch, tmp_path, folder, value, where
):
    """A tilde that no shell has replaced is the home directory, and no folder of that name."""
    monkeypatch.setenv("AGENTKEYS_HOME", value.format(tmp_path))
    assert folder() == tmp_path / where


@both
@pytest.mark.parametrize("value", ["keys", "./keys", ".", "~nobody-of-that-name/keys"])
def test_a_relative_home_is_refused(monkeypatch, tmp_path, folder, value):
    """From another working directory it would be another one, and what was begun is forgotten."""
    monkeypatch.setenv("AGENTKEYS_HOME", value)
    with pytest.raises(ConfigurationError, match=r"AGENTKEYS_HOME .* full path"):
        folder()
    assert list(tmp_path.iterdir()) == []


@both
@pytest.mark.parametrize("value", [None, "", "~/keys"])
@pytest.mark.parametrize("unknown", ["", "relative"])
def test_an_unknown_home_directory_is_told(monkeypatch, folder, value, unknown):
    """HOME is empty, or no full path: what can be set is said."""
    monkeypatch.setenv("HOME", unknown)
    if value is not None:
        monkeypatch.setenv("AGENTKEYS_HOME", value)
    with pytest.raises(ConfigurationError, match="set HOME"):
        folder()


@both
def test_a_relative_directory_of_xdg_is_never_used(monkeypatch, tmp_path, folder):
    """The standard says to ignore it: some versions of platformdirs do, others make an error."""
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    monkeypatch.setenv("XDG_STATE_HOME", "~/state")
    with contextlib.suppress(ConfigurationError):
        assert folder().is_relative_to(tmp_path / ".local")
    assert list(tmp_path.iterdir()) == []


# What a container has that runs as a number: no HOME, and nobody of that number.
NOBODY = """
    import os
    from agentkeys import AgentKeysError, home
    from agentkeys.stores import DotenvStore

    folders = [home.state_folder, home.data_folder, lambda: DotenvStore("~/.env", "KEY")]
    for folder in folders:
        folder()  # so that all is imported
    os.environ.pop("HOME")
    os.setuid(54321)
    for folder in folders:
        try:
            print(folder())
        except AgentKeysError as error:
            print(type(error).__name__, error)
    os.environ["AGENTKEYS_HOME"] = "~/keys"
    try:
        print(home.state_folder())
    except AgentKeysError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user whom nobody knows")
def test_a_user_without_a_home_directory_is_told():
    """One line each, and not an error of Python's or a folder called `~`."""
    program = Program(NOBODY)
    try:
        lines = [program.read() for _ in range(4)]
    finally:
        program.kill()
    for line in lines:
        assert line.startswith("ConfigurationError")
        assert "home directory" in line
        assert "set HOME" in line


def test_a_tilde_in_a_stores_path_needs_a_home_directory(monkeypatch, tmp_path):
    """It is not a folder of that name in the working directory."""
    assert open_store("dotenv:~/.env#A").address == f"dotenv:{tmp_path}/.env#A"
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ConfigurationError, match="set HOME"):
        open_store("dotenv:~/.env#A")


def linked(folder: Path) -> None:
    folder.rename(folder.with_name("real"))
    folder.symlink_to("real")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_another_user_is_refused(tmp_path):
    """Root as well: what lies in it decides what is deleted."""
    folder = tmp_path / "keys"
    folder.mkdir()
    assert filesystem.folder_objection(folder) is None
    os.chown(folder, 54321, 0)
    assert "belongs to another user (uid 54321)" in (filesystem.folder_objection(folder) or "")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_write_to_is_refused(tmp_path, mode):
    """Also a sticky one, like /tmp."""
    folder = tmp_path / "keys"
    folder.mkdir()
    folder.chmod(mode)
    assert "others may write to it" in (filesystem.folder_objection(folder) or "")


def test_a_link_of_ones_own_may_lead_to_it(tmp_path):
    """But to a folder only, and only where that is said; one of another user's may not."""
    folder = tmp_path / "keys"
    folder.mkdir()
    linked(folder)
    assert filesystem.folder_objection(folder, may_be_link=True) is None
    assert filesystem.folder_objection(folder) == "it is a link"
    if os.geteuid() == 0:
        os.chown(folder, 54321, 0, follow_symlinks=False)
        assert filesystem.folder_objection(folder, may_be_link=True) == "it is a link"
    (tmp_path / "file").touch()
    assert filesystem.folder_objection(tmp_path / "file") == "it is not a folder"
