"""Nothing is trusted because it lies there: a file of state is ours alone, or it is named."""

from __future__ import annotations

import json
import os
import stat

import attempt_files
import attrs
import pytest
from chaos import place_at

from agentkeys import ConfigurationError, Secret, issue, sweep
from agentkeys.keys import Scope
from agentkeys.lifecycle.journal.lines import NotAnEntry, Torn, dumped, loaded
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.lifecycle.machine.states import (
    Asking,
    Denied,
    Dropping,
    Entry,
    Kept,
    Ousting,
    Plan,
    Replaced,
    Restoring,
    Retiring,
    Writing,
)
from agentkeys.stores import MemoryStore
from agentkeys.stores.contract import Found

pytestmark = pytest.mark.asyncio
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
NAME = "production~aaaaaa"


def step(place, **changes):
    """Return the first line of an attempt for the key of that name."""
    document = {
        "scope": attempt_files.as_a_path(attrs.asdict(place.keys.scope)),
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


NOWHERE = {"service": "Agentry", "base_url": "x", "path": "/human/v0/api-keys", "account": "x"}
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
    "a path that no service has": {"scope": {**NOWHERE, "path": "/human/v0/keys"}},
    "a body that no service has": {"scope": {**NOWHERE, "body": "{}"}},
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
        "digest": attempt_files.digest_of(Secret("secret")),
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
        attempt_files.begin(place.keys.scope, NAME, "aaaaaa").release()
        change(state)
        [sentence] = (await sweep(place.keys)).unresolved
        assert str(state) in sentence
        with pytest.raises(ConfigurationError, match="AGENTKEYS_HOME"):
            await issue(place.keys, "ci", into=MemoryStore())
        assert [key.id for key in await place.keys.list().collect()] == [new.id]


async def test_a_ledger_that_is_not_ours_alone_gets_nothing(state, tmp_path):
    """The secret is stored, so the key is issued; what remembers it stays where it was."""
    state.mkdir(parents=True, mode=0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    state.with_name("keys").symlink_to(elsewhere)
    async with place_at("agentry") as place:
        issued = await issue(place.keys, "ci", into=MemoryStore("kept"))
        assert [key.id for key in await place.keys.list().collect()] == [issued.key.id]
        assert list(elsewhere.iterdir()) == []
        assert len(attempt_files.files(state)) == 1


async def test_a_home_that_a_link_of_ours_leads_to_is_used(state):
    """It is the user's way to have it on another disk."""
    async with place_at("agentry") as place:
        new = await place.keys.create(NAME)
        attempt_files.begin(place.keys.scope, NAME, "aaaaaa").release()
        state.parent.rename(state.parent.with_name("real"))
        state.parent.symlink_to("real")
        assert (await sweep(place.keys)).deleted == (new.id,)


async def test_lines_are_an_entry_or_it_is_said_why_not():
    """Whatever they hold."""
    assert loaded(b"") == Torn()
    assert loaded(b'{"format": 2, "plan"') == Torn()
    for text in (b"[]\n", b"\n", b"null\n", b"\xff\n", b"[" * 100_000 + b"\n", b"9" * 5000 + b"\n"):
        assert isinstance(loaded(text), NotAnEntry)


SCOPE = Scope("Agentry", "https://agentry.test", "inbox", "i", "agent", "me", also=("you",))
RETIRING = Retiring(7, "ab12", Moment(1.0), Moment(2.0), False, Found("a file", "1:2:3"))
STATES = [
    Asking(Moment(1.0, "a boot", 2.0), 5.0),
    Denied(),
    Writing("an id", "ab12", True, Moment(1.0), 0.0, Found("a file", "1:2:3")),
    Writing(7, "ab12", False, Moment(1.0), 60.0),
    Dropping(None),
    RETIRING,
    Ousting(7, "ab12", Moment(1.0)),
    Restoring(RETIRING, "cd34", Moment(3.0), 0.0),
    Kept(7, "ab12", Moment(1.0)),
]


@pytest.mark.parametrize("state", STATES, ids=repr)
async def test_an_entry_is_read_as_it_was_written(state):
    """Each kind of state; of several lines the last one counts that is whole."""
    replaced = Replaced("an id", "production", "0a1b", 60.0, 420.0, True)
    plan = Plan(SCOPE, "production", False, "memory:x", 1.5, replaced)
    entry = Entry(plan, NAME, state)
    first = dumped(attrs.evolve(entry, state=Asking(Moment(0.0), 1.0)))
    assert loaded(dumped(entry)) == entry
    assert loaded(first + dumped(entry)) == entry
    assert loaded(first + dumped(entry) + b'{"format": 3, "pl') == entry


async def test_an_entry_of_a_later_version_is_named():
    """Nobody guesses what it may mean."""
    later = dumped(Entry(Plan(SCOPE, "production"), NAME, Denied())).replace(b": 4,", b": 99,", 1)
    found = loaded(later)
    assert isinstance(found, NotAnEntry)
    assert "format 99" in found.why


FIRST = {
    "asking": ([], Asking(Moment(5.0, "b", 6.0), 7.0)),
    "asking, counted anew": (
        [{"begun_at": 9.0, "boot": "c", "uptime": 1.0}],
        Asking(Moment(9.0, "c", 1.0), 7.0),
    ),
    "writing": (
        [{"key_id": 1, "store": "memory:x", "digest": "ab", "found": {"place": "p", "state": "s"}}],
        Writing(1, "ab", False, Moment(5.0, "b", 6.0), 0.0, Found("p", "s")),
    ),
    "writing, of 0.1": (
        [{"key_id": None, "store": "memory:x", "digest": "ab"}],
        Writing(None, "ab", False, Moment(5.0, "b", 6.0), 0.0),
    ),
}


@pytest.mark.parametrize("which", FIRST)
async def test_files_of_the_first_format_are_read(which):
    """They had no number, and a line for each step."""
    steps, state = FIRST[which]
    first = {
        "scope": attempt_files.as_a_path(attrs.asdict(SCOPE)),
        "name": NAME,
        "nonce": "aaaaaa",
        "begun_at": 5.0,
        "seconds": 7.0,
        "received": None,
        "boot": "b",
        "uptime": 6.0,
    }
    text = "".join(f"{json.dumps(step)}\n" for step in [first, *steps]).encode()
    store = steps[0].get("store", "") if steps else ""
    assert loaded(text) == Entry(Plan(SCOPE, "production", False, store), NAME, state)


def as_of_format_2(entry):
    """Write an entry as the second format did."""
    document = json.loads(dumped(entry))
    scope = attempt_files.as_a_path(document["plan"]["scope"])
    document["plan"]["scope"] = scope | {"body": "", "also": document["plan"]["scope"]["also"]}
    del document["plan"]["replaces"], document["plan"]["write_only"]
    return json.dumps(document | {"format": 2}).encode() + b"\n"


@pytest.mark.parametrize("state", STATES, ids=repr)
async def test_files_of_the_third_format_are_read_and_gone_on_with(state):
    """They did not say whether the store could be read."""
    entry = Entry(Plan(SCOPE, "production"), NAME, state)
    document = json.loads(dumped(entry)) | {"format": 3}
    del document["plan"]["write_only"]
    third = json.dumps(document).encode() + b"\n"
    after = attrs.evolve(entry, state=Denied())
    assert loaded(third) == entry
    assert loaded(third + dumped(after)) == after


@pytest.mark.parametrize("state", [STATES[0], STATES[1], STATES[2], STATES[4]], ids=repr)
async def test_files_of_the_second_format_are_read_and_gone_on_with(state):
    """They named a place by a path."""
    entry = Entry(Plan(SCOPE, "production"), NAME, state)
    after = attrs.evolve(entry, state=Denied())
    assert loaded(as_of_format_2(entry)) == entry
    assert loaded(as_of_format_2(entry) + dumped(after)) == after


async def test_a_file_of_the_first_format_is_gone_on_with():
    """What a sweep of today notes in it is of the format of today."""
    after = Entry(Plan(SCOPE, "production"), NAME, Dropping(7))
    first = json.dumps({"scope": 1}).encode() + b"\n"
    assert loaded(first + dumped(after)) == after


async def test_a_step_behind_a_torn_one_is_read(state):
    """A disk that was full, or a process that died, has left a part of a line."""
    async with place_at("agentry") as place:
        held = attempt_files.begin(place.keys.scope, NAME, "aaaaaa")
        with held.path.open("ab") as file:
            file.write(b'{"format": 2, "plan": {"sc')
        held.receive("an id", "memory:x", Secret("s"))
        assert loaded(held.path.read_bytes()) == held.entry
        held.release()
