"""A store that is not the one that was written to proves nothing: the key lives, and is named."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap

import attempt_files
import keyring
import pytest
from chaos import BASE, place_at
from keyring.backends import null
from keyrings.alt.file import PlaintextKeyring
from lifecycle import died_after_storing, died_before_storing, left

from agentkeys import Secret, Swept, sweep
from agentkeys.stores import KeyringStore, MemoryStore, open_store

pytestmark = pytest.mark.asyncio
NAME = f"{BASE}~aaaaaa"


async def died(place, address, death):
    """Issue a key, whose secret goes to an address, and die; return it and its store."""
    store = open_store(address)
    new = await place.keys.create(NAME)
    await death(attempt_files.begin(place.keys.scope, NAME, "aaaaaa"), new.id, store, new.secret)
    return new, store


async def named_and_alive(place, new, *words):
    """See that a sweep leaves the key to a person, in a sentence with these words."""
    [sentence] = (await sweep(place.keys)).unresolved
    for word in (str(new.id), "sweep again", *words):
        assert word in sentence
    assert await place.service.is_live(new.secret)


def renamed(env):
    env.rename(env.with_name("moved"))


def unmounted(env):
    """As a disk that is not mounted: the folder below is there, and empty."""
    env.parent.rename(env.parent.with_name("elsewhere"))
    env.parent.mkdir()


def replaced(env):
    """As an editor or a deployment does, whose new file may have the number of the old one."""
    env.rename(env.with_name("moved"))
    env.write_text("OTHER=1\n")


def restored(env):
    """As a backup is: it has the contents of before, and all times that can be set."""
    copy = env.with_name("backup")
    copy.write_text("OTHER=1\n")
    os.utime(copy, ns=(1, 1))
    copy.rename(env)


def emptied(env):
    """In place: who did that knows where the secret is now."""
    env.write_text("OTHER=1\n")


def removed_by_us(env):
    asyncio.run(open_store(f"dotenv:{env}#KEY").remove())


@pytest.fixture
def file_keyring(tmp_path):
    """Let keyring keep what it gets in a file that is there, as it is after a probe."""
    used = keyring.get_keyring()
    keyring.set_keyring(keyring_at(tmp_path / "keyring.cfg"))
    yield tmp_path / "keyring.cfg"
    keyring.set_keyring(used)


def keyring_at(path):
    path.touch()
    backend = PlaintextKeyring()
    backend.file_path = str(path)
    return backend


CHANGES = [renamed, unmounted, replaced, restored, emptied, removed_by_us]


@pytest.mark.parametrize("before", [None, "OTHER=1\n"], ids=["new", "old"])
@pytest.mark.parametrize("change", CHANGES)
async def test_another_file_proves_nothing(tmp_path, change, before):
    """The secret was written, and is somewhere else now."""
    env = tmp_path / "app" / ".env"
    env.parent.mkdir()
    if before:
        env.write_text(before)
    async with place_at("agentry") as place:
        new, _ = await died(place, f"dotenv:{env}#KEY", died_after_storing)
        await asyncio.to_thread(change, env)
        await named_and_alive(place, new, str(env))
        assert len(left(attempt_files.folder())) == 1


async def test_a_file_that_is_renamed_back_holds_it(tmp_path):
    """What the sentence says to do works."""
    env = tmp_path / ".env"
    async with place_at("agentry") as place:
        new, _ = await died(place, f"dotenv:{env}#KEY", died_after_storing)
        env.rename(tmp_path / "moved")
        await named_and_alive(place, new)
        (tmp_path / "moved").rename(env)
        assert await sweep(place.keys) == Swept(stored=(new.id,))
    assert left(attempt_files.folder()) == []


async def test_a_link_that_a_deployment_switches_leads_elsewhere(tmp_path):
    """The sentence names the file that was written to."""
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / ".env").write_text("OTHER=1\n")
    current = tmp_path / "current"
    current.symlink_to("one")
    async with place_at("agentry") as place:
        new, _ = await died(place, f"dotenv:{current}/.env#KEY", died_after_storing)
        current.unlink()
        current.symlink_to("two")
        await named_and_alive(place, new, str(tmp_path / "one" / ".env"))


@pytest.mark.parametrize("address", ["dotenv:{}/.env#KEY", "keyring:tests#KEY", "memory:tests"])
async def test_a_store_that_was_never_written_has_no_key(tmp_path, file_keyring, address):
    """It is what it was, and holds no such secret: the key is nobody's, and is deleted."""
    (tmp_path / ".env").write_text("OTHER=1\n")
    async with place_at("agentry") as place:
        new, _ = await died(place, address.format(tmp_path), died_before_storing)
        assert await sweep(place.keys) == Swept(deleted=(new.id,))


async def test_a_file_that_came_meanwhile_may_have_held_it(tmp_path):
    """There was none, and there is another one now."""
    env = tmp_path / ".env"
    async with place_at("agentry") as place:
        new, _ = await died(place, f"dotenv:{env}#KEY", died_before_storing)
        env.write_text("OTHER=1\n")
        await named_and_alive(place, new, str(env))


@pytest.mark.parametrize("other", ["backend", "file", "absent"])
async def test_another_keyring_proves_nothing(tmp_path, file_keyring, other):
    """As cron has it, without the session's keyring or with another home."""
    async with place_at("agentry") as place:
        new, store = await died(place, "keyring:tests#KEY", died_after_storing)
        assert isinstance(store, KeyringStore)
        if other == "backend":
            keyring.set_keyring(null.Keyring())
        elif other == "file":
            keyring.set_keyring(keyring_at(tmp_path / "other.cfg"))
        else:
            file_keyring.unlink()
        await named_and_alive(place, new, "keyrings.alt.file.PlaintextKeyring")


async def test_the_memory_of_another_process_proves_nothing(tmp_path):
    """It may be running, and use the key."""
    async with place_at("agentry") as place:
        new, _ = await died(place, "memory:tests", died_after_storing)
        [path] = attempt_files.files(attempt_files.folder())
        path.write_text(path.read_text().replace(str(os.getpid()), "1"))
        await MemoryStore("tests").remove()
        await named_and_alive(place, new, "the memory of process 1")


@pytest.mark.parametrize("holds", [True, False])
async def test_what_version_0_1_left_is_read(tmp_path, holds):
    """It did not note what the store was: a secret that is there counts, and none is no proof."""
    env = tmp_path / ".env"
    async with place_at("agentry") as place:
        new, store = await died(place, f"dotenv:{env}#KEY", died_after_storing)
        [path] = attempt_files.files(attempt_files.folder())
        attempt_files.as_of_0_1(path)
        if holds:
            assert await sweep(place.keys) == Swept(stored=(new.id,))
            return
        await store.remove()
        [sentence] = (await sweep(place.keys)).unresolved
        assert str(new.id) in sentence
        assert await place.service.is_live(new.secret)


# The hook hears of it before the system is asked to rename.
KILLED = """
    import os, signal, sys
    from agentkeys import sync
    from agentkeys.stores import DotenvStore

    env, when, inbox = sys.argv[1:]
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)

    def heard(event, args):
        # The entry is renamed next, into the ledger.
        wanted = env if when == "before" else ".key"
        if event == "os.rename" and str(args[1]).endswith(wanted):
            die()

    sys.addaudithook(heard)
    with sync.AgentryClient() as client:
        sync.issue(client.inbox(inbox).api_keys, "billing-bot", into=DotenvStore(env, "KEY"))
"""


@pytest.fixture
def killed(monkeypatch):
    """Issue a key in a process that is killed directly before its file is in place, or after."""

    async def killed(place, env, when):
        monkeypatch.setenv("AGENTRY_BASE_URL", place.service.url)
        monkeypatch.setenv("AGENTRY_API_KEY", place.service.agentry_token)
        words = (textwrap.dedent(KILLED), str(env), when, place.service.inbox_id)
        command = [sys.executable, "-c", *words]
        done = await asyncio.to_thread(subprocess.run, command, timeout=60, check=False)
        assert done.returncode < 0
        [key] = await place.keys.list().collect()
        return key

    return killed


@pytest.mark.parametrize("before", [None, "OTHER=1\n"], ids=["new", "old"])
async def test_killed_before_the_file_was_in_place(tmp_path, killed, before):
    """The file beside it proves that it never was: the key is deleted."""
    env = tmp_path / ".env"
    if before:
        env.write_text(before)
    async with place_at("agentry") as place:
        key = await killed(place, env, "before")
        assert await sweep(place.keys) == Swept(deleted=(key.id,))
    assert {path.name for path in tmp_path.iterdir()} <= {"home", ".env"}


async def test_killed_after_the_file_was_in_place_and_then_renamed(tmp_path, killed):
    """There was none before and there is none now, which is no proof."""
    env = tmp_path / ".env"
    async with place_at("agentry") as place:
        key = await killed(place, env, "after")
        env.rename(tmp_path / ".env.production")
        [sentence] = (await sweep(place.keys)).unresolved
        assert str(key.id) in sentence
        (secret,) = (tmp_path / ".env.production").read_text().strip().split("=")[1:]
        assert await place.service.is_live(Secret(secret))
