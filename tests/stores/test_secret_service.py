"""A real Secret Service: gnome-keyring on a session bus of its own, where the machine has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PATIENCE = 60.0
MISSING = [
    program for program in ("dbus-run-session", "gnome-keyring-daemon") if not shutil.which(program)
]
UNLOCKED = "printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null && "
USE = """
import asyncio, sys
from agentkeys import Secret, StoreError
from agentkeys.stores import open_store
store = open_store("keyring:agentkeys tests#A NAME")
for call in (store.probe, lambda: store.write(Secret("agk_live_x")), store.read):
    try:
        asyncio.run(call())
    except StoreError as error:
        print(error)
"""


def in_session(home, script, *arguments, bus=True):
    """Run a script with a home, and a bus, of its own; return what it prints."""
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("DBUS", "XDG", "DISPLAY"))
    }
    done = subprocess.run(
        [*(["dbus-run-session", "--"] if bus else []), "sh", "-c", script, "sh", *arguments],
        env=environment
        | {"HOME": str(home), "PYTHON_KEYRING_BACKEND": "keyring.backends.SecretService.Keyring"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def errors_in(home, **settings):
    """Return what goes wrong when the keyring is used in a session."""
    out = in_session(home, '"$1" -c "$2"', sys.executable, USE, **settings)
    return [line for line in out.splitlines() if line.startswith("cannot use A NAME of")]


needs_the_service = pytest.mark.skipif(
    bool(MISSING), reason=f"this machine has no {' and no '.join(MISSING)}"
)


@needs_the_service
def test_it_passes_the_conformance_suite(tmp_path):
    """A keyring that is unlocked keeps secrets as every store does."""
    suite = Path(__file__).with_name("on_the_secret_service.py")
    pytest_ = '"$1" -m pytest -q -n 0 -p no:cacheprovider --basetemp="$2" "$3"'
    out = in_session(tmp_path, UNLOCKED + pytest_, sys.executable, tmp_path / "tests", suite)
    assert "passed" in out
    assert "skipped" not in out


@needs_the_service
def test_a_locked_keyring_says_so(tmp_path):
    """Nobody is there to unlock it."""
    lines = errors_in(tmp_path)
    assert len(lines) == 3
    for line in lines:
        assert line.endswith("it is locked: unlock it and try again")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other keyrings")
def test_a_session_without_a_bus_says_so(tmp_path):
    """As over ssh, or in a container."""
    lines = errors_in(tmp_path, bus=False)
    assert len(lines) == 3
    for line in lines:
        assert "there is no usable keyring (RuntimeError: " in line
        assert line.endswith("name another keyring in PYTHON_KEYRING_BACKEND, or use another store")
