"""Disks that are full or read-only, and folders that are not there: one error, and nothing lost."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from chaos import SERVICES
from programs import Program

from agentkeys import sync
from agentkeys.server.faults import DELETES, Answer

# In a namespace of its own, so that nothing is mounted for anybody else.
SCRIPT = """
    export AGENTKEYS_HOME="$1/$5"
    cd "$1" && mkdir -p disk/home/attempts && {mount} && cd disk && exec "$2" -c '
import os, sys
from agentkeys import AgentKeysError, sync
client = sync.AgentityClient() if sys.argv[1] == "agentity" else sync.AgentryClient()
with client:
    try:
        print(sync.issue(client.api_keys, "billing-bot", into=sys.argv[2], exact_name=True))
    except AgentKeysError as error:
        print(type(error).__name__, error)
    print(sorted(key.name for key in client.api_keys.list()))
    print(*(name for _, _, names in os.walk("home/attempts") for name in names), sep="")
' "$3" "$4"
"""
FULL = """
    mount -t tmpfs -o size=32k none disk && mkdir -p disk/home/attempts &&
    {{ head -c 64k /dev/zero >disk/filler 2>/dev/null || true; }}
"""
READ_ONLY = "mount --bind disk disk && mount -o remount,bind,ro disk"


@pytest.fixture
def service(monkeypatch):
    with sync.LocalService() as service:
        monkeypatch.setenv("AGENTITY_BASE_URL", service.url)
        monkeypatch.setenv("AGENTITY_EMAIL", service.email)
        monkeypatch.setenv("AGENTITY_PASSWORD", service.password)
        monkeypatch.setenv("AGENTRY_BASE_URL", service.url)
        monkeypatch.setenv("AGENTRY_API_KEY", service.agentry_token)
        yield service


@pytest.mark.slow
@pytest.mark.parametrize("which", SERVICES)
@pytest.mark.parametrize("mount", [FULL, READ_ONLY], ids=["full", "read-only"])
@pytest.mark.parametrize(
    "place",
    [
        ("elsewhere", "dotenv:.env#KEY", "StoreError"),
        ("disk/home", "dotenv:../.env#KEY", "ConfigurationError"),
    ],
    ids=["store", "attempts"],
)
def test_a_disk_that_takes_nothing(service, which, mount, place, tmp_path):
    """Nothing is sent, and the error says which place it is about and what to do."""
    if not shutil.which("unshare") or subprocess.call(["unshare", "-rm", "true"]):  # noqa: S607
        pytest.skip("this machine lets nobody mount anything in a namespace of their own")
    home, store, error = place
    script = SCRIPT.replace("{mount}", mount.strip().replace("{{", "{").replace("}}", "}"))
    arguments = [tmp_path, sys.executable, which, store, home]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said, keys, files = done.stdout.splitlines()
    assert said.startswith(error)
    assert "disk is" in said or "No space" in said or "Read-only" in said
    assert (keys, files) == ("[]", "")
    assert not [seen for seen in service.requests if "POST /auth/api-keys" in str(seen.route)]


@pytest.mark.parametrize("which", SERVICES)
def test_a_folder_that_is_not_there(service, which, tmp_path, monkeypatch):
    """It is not made in silence, for it may be a mistake; nothing is sent."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))
    client = sync.AgentityClient() if which == "agentity" else sync.AgentryClient()
    with client:
        with pytest.raises(Exception, match="its folder does not exist") as caught:
            sync.issue(client.api_keys, "ci", into=f"dotenv:{tmp_path}/nowhere/.env#KEY")
        assert type(caught.value).__name__ == "StoreError"
        assert len(service.requests) == 0
        assert not (tmp_path / "home").exists()


# A file can be so long, and no longer: the first step of an attempt fits, and half of the second.
HALF_FULL = """
    import resource
    from agentkeys import OrphanKeyError, StoreError, sync
    from agentkeys.stores import MemoryStore

    with sync.AgentryClient() as client:
        for _ in range(2):
            resource.setrlimit(resource.RLIMIT_FSIZE, (900, resource.RLIM_INFINITY))
            try:
                sync.issue(client.api_keys, "billing-bot", into=MemoryStore("here"))
            except (StoreError, OrphanKeyError) as error:
                print(type(error).__name__, getattr(error, "key_id", None), error)
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, resource.RLIM_INFINITY))
            print(*(key.id for key in client.api_keys.list()), flush=True)
            input()
            print(len(sync.sweep(client.api_keys).deleted), flush=True)
"""


def test_a_disk_that_is_full_when_the_secret_has_come(service, tmp_path, monkeypatch):
    """What cannot be noted is not stored: the key is deleted, or named with its id, and swept."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    program = Program(HALF_FULL)
    try:
        said = program.read()
        assert said.startswith("StoreError None")
        assert "cannot be noted" in said
        assert "the new key was deleted" in said
        assert program.read() == ""
        service.faults.add(DELETES, Answer(403))
        program.tell()
        assert program.read() == "0"
        kind, key_id, _ = program.read().split(" ", 2)
        assert kind == "OrphanKeyError"
        assert program.read() == key_id
        program.tell()
        assert program.read() == "1"
    finally:
        program.kill()
