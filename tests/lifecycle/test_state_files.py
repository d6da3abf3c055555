"""Nothing is trusted because it lies there: a file of state is ours alone, or it is named."""

from __future__ import annotations

import json
import os
import stat

import attrs
import pytest
from chaos import place_at

from agentkeys import ConfigurationError, Secret, issue, sweep
from agentkeys.lifecycle import attempts, entries
from agentkeys.lifecycle.entries import Attempt, NotAnAttempt, Torn
from agentkeys.stores import MemoryStore

pytestmark = pytest.mark.asyncio
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
NAME = "production~aaaaaa"


def step(place, **changes):
    """Return the first line of an attempt for the key of that name."""
    document = {
        "scope": attrs.asdict(place.keys.scope),
        "name": NAME,
        "nonce": "aaaaaa",
        "begun_at": 0,
        "seconds": 0,
        "received": None,
    }
    return json.dumps(document | changes) + "\n"


def linked(path, text):
    path.with_name("elsewhere").write_text(text)
    path.symlink_to("elsewhere")


def endless(path, text):
    path.symlink_to("/dev/zero")


def hard_linked(path, text):
    path.write_text(text)
    path.with_name("elsewhere").hardlink_to(path)


def piped(path, text):
    os.mkfifo(path)


def a_socket(path, text):
    os.mknod(path, stat.S_IFSOCK | 0o600)


def a_folder(path, text):
    path.mkdir()


def too_long(path, text):
    path.write_text(text)
    os.truncate(path, 1 << 34)


def somebody_elses(path, text):
    path.write_text(text)
    os.chown(path, 54321, -1)


def written_by_the_group(path, text):
    path.write_text(text)
    path.chmod(0o620)


def written_by_anybody(path, text):
    path.write_text(text)
    path.chmod(0o602)


KINDS = [
    linked,
    endless,
    hard_linked,
    piped,
    a_socket,
    a_folder,
    too_long,
    pytest.param(somebody_elses, marks=root_only),
    written_by_the_group,
    written_by_anybody,
]


@pytest.mark.parametrize("plant", KINDS)
async def test_a_file_that_is_not_ours_alone_decides_nothing(state, plant):
    """One sentence names it; nothing is deleted, removed or waited for. Issuing leaves it, too."""
    state.mkdir(parents=True, mode=0o700)
    path = state / "planted.attempt"
    async with place_at("agentry") as place:
        new = await place.keys.create(NAME)
        plant(path, step(place))
        before = path.lstat()
        for _ in range(2):
            [sentence] = (await sweep(place.keys)).unresolved
            assert str(path) in sentence
            await issue(place.keys, "ci", into=MemoryStore())
        assert await place.service.is_live(new.secret)
        assert os.path.samestat(path.lstat(), before)


NOWHERE = {"service": "Agentry", "base_url": "x", "path": "x", "account": "x"}
CLAIMS = {
    "a nonce in no name": {"name": "production"},
    "an empty nonce": {"name": "production", "nonce": ""},
    "an empty nonce behind a tilde": {"name": "production~", "nonce": ""},
    "a nonce of other letters": {"name": "production~AAAAAA", "nonce": "AAAAAA"},
    "a nonce that is too long": {"name": "production~aaaaaaa", "nonce": "aaaaaaa"},
    "a nonce without a tilde": {"name": "productionaaaaaa", "nonce": "aaaaaa"},
    "a nonce before the end": {"name": "production~aaaaaa~b", "nonce": "aaaaaa"},
    "a nonce with a line end": {"name": "production~aaaaaa\n", "nonce": "aaaaaa\n"},
    "nothing but a nonce": {"name": "~aaaaaa"},
    "a list for a name": {"name": ["production"]},
    "a number for a nonce": {"nonce": 5},
    "a time that is none": {"begun_at": float("nan")},
    "a time without end": {"seconds": float("inf")},
    "a time before time": {"begun_at": -1},
    "a time in words": {"begun_at": "0"},
    "a time that is too big": {"begun_at": 10**400},
    "a scope that is none": {"scope": 1},
    "half a scope": {"scope": {"service": "Agentry"}},
    "a step that nobody knows": {"replaces": 7},
    "a name for a list of names": {"scope": {**NOWHERE, "also": "me"}},
}


@pytest.mark.parametrize("claim", CLAIMS)
async def test_what_a_file_claims_is_not_believed(state, claim):
    """Every key lives, and the file stays, whatever is in it."""
    state.mkdir(parents=True, mode=0o700)
    path = state / "planted.attempt"
    async with place_at("agentry") as place:
        names = ["production", NAME, "['production']"]
        made = [await place.keys.create(name) for name in names]
        path.write_text(step(place, **CLAIMS[claim]))
        text = path.read_text()
        [sentence] = (await sweep(place.keys)).unresolved
        assert str(path) in sentence
        await issue(place.keys, "ci", into=MemoryStore())
        for new in made:
            assert await place.service.is_live(new.secret)
    assert path.read_text() == text


async def test_a_planted_attempt_reads_no_file_of_its_choice(state, tmp_path):
    """Not even whether a secret is there is told, and nothing beside it is removed."""
    state.mkdir(parents=True, mode=0o700)
    env = tmp_path / ".env"
    env.write_text("KEY=secret\n")
    beside = {path.name for path in tmp_path.iterdir()}
    more = {
        "key_id": 1,
        "store": f"dotenv:{env}#KEY",
        "digest": entries.digest_of(Secret("secret")),
    }
    async with place_at("agentry") as place:
        text = step(place, name="production", nonce="q") + json.dumps(more) + "\n"
        (state / "planted.attempt").write_text(text)
        env.chmod(0)
        swept = await sweep(place.keys)
    assert (swept.stored, swept.deleted, len(swept.unresolved)) == ((), (), 1)
    assert {path.name for path in tmp_path.iterdir()} == beside


async def test_a_files_name_is_obeyed_by_no_terminal(state):
    """It is in the sentence, escaped."""
    state.mkdir(parents=True, mode=0o700)
    (state / "\x1b]0;PWNED\x07\n.attempt").write_text("{}\n")
    async with place_at("agentry") as place:
        [sentence] = (await sweep(place.keys)).unresolved
    assert sentence.isprintable()
    assert r"\x1b]0;PWNED\x07" in sentence


def somebody_elses_folder(state):
    os.chown(state, 54321, -1)


def somebody_elses_home(state):
    os.chown(state.parent, 54321, -1)


def a_folder_for_all(state):
    state.chmod(0o1777)


def a_home_for_the_group(state):
    state.parent.chmod(0o770)


def a_linked_folder(state):
    state.rename(state.with_name("real"))
    state.symlink_to("real")


def a_lost_folder(state):
    state.rename(state.with_name("real"))
    state.symlink_to("gone")


def a_lost_home(state):
    state.parent.rename(state.parent.with_name("real"))
    state.parent.symlink_to("gone")


def a_file_for_a_folder(state):
    state.rename(state.with_name("real"))
    state.touch()


FOLDERS = [
    pytest.param(somebody_elses_folder, marks=root_only),
    pytest.param(somebody_elses_home, marks=root_only),
    a_folder_for_all,
    a_home_for_the_group,
    a_linked_folder,
    a_lost_folder,
    a_lost_home,
    a_file_for_a_folder,
]


@pytest.mark.parametrize("change", FOLDERS)
async def test_a_folder_that_is_not_ours_alone_is_not_looked_into(state, change):
    """A sweep says so, and issuing makes no key: what it remembered there would not be found."""
    async with place_at("agentry") as place:
        new = await place.keys.create(NAME)
        attempts.begin(place.keys.scope, NAME, "aaaaaa").release()
        change(state)
        [sentence] = (await sweep(place.keys)).unresolved
        assert str(state) in sentence
        with pytest.raises(ConfigurationError, match="AGENTKEYS_HOME"):
            await issue(place.keys, "ci", into=MemoryStore())
        assert [key.id for key in await place.keys.list().collect()] == [new.id]


async def test_a_home_that_a_link_of_ours_leads_to_is_used(state):
    """It is the user's way to have it on another disk."""
    async with place_at("agentry") as place:
        new = await place.keys.create(NAME)
        attempts.begin(place.keys.scope, NAME, "aaaaaa").release()
        state.parent.rename(state.parent.with_name("real"))
        state.parent.symlink_to("real")
        assert (await sweep(place.keys)).deleted == (new.id,)


async def test_lines_are_an_attempt_or_it_is_said_why_not():
    """Whatever they hold."""
    assert entries.read(b"") == Torn()
    assert entries.read(b'{"scope": {"service"') == Torn()
    for text in (b"[]\n", b"\n", b"null\n", b"\xff\n", b"[" * 100_000 + b"\n", b"9" * 5000 + b"\n"):
        assert isinstance(entries.read(text), NotAnAttempt)


async def test_a_step_is_read_as_it_was_written(state):
    """Each kind of it, one after the other."""
    async with place_at("agentry") as place:
        held = attempts.begin(place.keys.scope, NAME, "aaaaaa", seconds=5)
        held.count_from_now()
        held.receive("an id", "memory:x", Secret("s"))
        assert entries.read(held.path.read_bytes()) == held.attempt
        assert isinstance(held.attempt, Attempt)
        held.release()
