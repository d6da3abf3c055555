from __future__ import annotations

import os

import keyring
import pytest
from aws_server import AwsServer, set_environment
from keyring.backends import fail
from keyrings.alt.file import PlaintextKeyring
from repositories import make, put, run


@pytest.fixture
def file_keyring(tmp_path):
    """Let keyring keep what it gets in a file of the test's own."""
    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(fail.Keyring())


@pytest.fixture
def no_git_settings(monkeypatch, tmp_path):
    """Keep the settings of git that this machine has out of the test."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    (tmp_path / "home").mkdir()


@pytest.fixture
def work(tmp_path):
    """Make an empty repository."""
    return make(tmp_path / "work")


@pytest.fixture
def others(work):
    """Make a repository of another user, with one file that it tracks."""
    put(work, ".env", "b")
    run(work, "add", ".env")
    for each in (work, *work.rglob("*")):
        os.chown(each, 12345, 12345)
    return work


@pytest.fixture
def aws(monkeypatch):
    """Serve what is like AWS Secrets Manager, for botocore to find."""
    with AwsServer() as server:
        set_environment(monkeypatch, server.environment)
        yield server
