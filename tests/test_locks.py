"""A lock file: who waits for it, for how long, and what is refused in its place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from programs import Program

from agentkeys import locks
from agentkeys.errors import ProfileError
from agentkeys.filesystem import RefusedError
from agentkeys.profiles import editing

HOLDER = """
import sys
from agentkeys import locks
assert locks.try_hold(sys.argv[1]) is not None
print("held")
input()
"""
COUNTER = """
import sys
from pathlib import Path
from agentkeys import locks
lock, count = sys.argv[1], Path(sys.argv[2])
for _ in range(100):
    descriptor = locks.hold(lock, 30.0)
    assert descriptor is not None
    count.write_text(str(int(count.read_text()) + 1))
    locks.drop(lock, descriptor)
"""


@pytest.fixture
def program() -> Iterator[Any]:
    """Run a program."""
    programs: list[Program] = []

    def program(code: str, *args: str) -> Program:
        programs.append(Program(code, *args))
        return programs[-1]

    yield program
    for each in programs:
        each.kill()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.lock")


@pytest.fixture
def holder(program, path):
    """Another process that holds the lock."""
    running = program(HOLDER, path)
    assert running.read() == "held"
    return running


def test_a_holder_that_dies_gives_the_lock_to_the_one_that_waits(holder, path):
    """It need not remove the file for that."""
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(locks.hold, path, 30.0)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.1)
        holder.kill()
        descriptor = waiting.result(timeout=30.0)
    assert descriptor is not None
    locks.drop(path, descriptor)
    assert not os.path.lexists(path)


def test_a_wait_ends_after_its_seconds_and_leaves_the_lock_to_its_holder(holder, path):
    assert locks.hold(path, 0.05) is None
    assert locks.hold(path, 0.0) is None
    assert os.path.lexists(path)
    holder.tell()
    assert holder.end().code == 0


def test_a_free_lock_is_held_without_a_wait(path):
    descriptor = locks.hold(path, 0.0)
    assert descriptor is not None
    assert locks.try_hold(path) is None
    locks.drop(path, descriptor)


def test_one_process_at_a_time_holds_a_lock_that_each_removes(program, path, tmp_path):
    count = tmp_path / "count"
    count.write_text("0")
    programs = [program(COUNTER, path, str(count)) for _ in range(3)]
    for each in programs:
        ended = each.end()
        assert (ended.code, ended.err) == (0, "")
    assert count.read_text() == "300"


def planted(path: Path, what: str) -> None:
    target = path.with_name("target")
    if what == "a folder":
        path.mkdir()
    elif what == "a link":
        path.symlink_to(target)
    else:
        path.touch()
        os.chown(path, 4242, -1)
        path.parent.chmod(0o1777)


@pytest.mark.parametrize(
    "what",
    [
        "a folder",
        "a link",
        pytest.param(
            "a file of another user",
            marks=pytest.mark.skipif(
                not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root"
            ),
        ),
    ],
)
def test_what_was_planted_there_is_refused_at_once_and_stays(path, what):
    """A lock in its place would be no lock, or another user's."""
    planted(Path(path), what)
    with pytest.raises(RefusedError, match=path):
        locks.hold(path, 30.0)
    assert os.path.lexists(path)
    assert not Path(path).with_name("target").exists()


@pytest.mark.parametrize("what", ["a folder", "a link"])
def test_profiles_are_not_changed_behind_a_lock_that_was_planted(monkeypatch, tmp_path, what):
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    planted(tmp_path / "config.toml.lock", what)
    with pytest.raises(ProfileError, match=r"cannot be changed: .*config\.toml\.lock"):
        editing.use(None)
    assert not (tmp_path / "config.toml").exists()
    assert not (tmp_path / "target").exists()


@pytest.mark.slow
def test_the_wait_for_another_command_that_changes_the_profiles_has_an_end(
    monkeypatch, tmp_path, program
):
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    running = program(HOLDER, str(tmp_path / "config.toml.lock"))
    assert running.read() == "held"
    with pytest.raises(ProfileError, match=r"another command is changing .*config\.toml: wait"):
        editing.use(None)
    running.tell()
    assert running.end().code == 0
    assert editing.use(None).default is None
    assert not (tmp_path / "config.toml.lock").exists()
