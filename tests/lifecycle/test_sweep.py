"""What died is finished: no key that nobody holds, and no deletion of one that somebody does."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from unittest.mock import ANY as ANYTHING

import attempt_files
import attrs
import pytest
from lifecycle import died_before_storing, left

from agentkeys import AuthenticationError, Secret, Swept, issue, sweep
from agentkeys.server.faults import DELETES, LISTS, Answer
from agentkeys.stores import MemoryStore, open_store

pytestmark = pytest.mark.asyncio
NOTHING = Swept()


def begun(place, name="ci~k7f3q2", nonce="k7f3q2", **scope):
    """Leave the file of an attempt whose owner is gone, and return what it held."""
    held = attempt_files.begin(attrs.evolve(place.keys.scope, **scope), name, nonce)
    held.release()
    return held


async def received(place, key_id, store, secret):
    held = attempt_files.begin(place.keys.scope, "ci~k7f3q2", "k7f3q2")
    await died_before_storing(held, key_id, store, secret)


def aged(state, seconds):
    """Let the attempts have begun so long ago."""
    for path in state.rglob("*.attempt"):
        first, *more = path.read_text().splitlines()
        step = json.loads(first)
        # Of a machine without a name for its boots, for this one may not have been up so long.
        step["begun"] = {"wall": time.time() - seconds, "boot": None, "uptime": 0.0}
        path.write_text("\n".join([json.dumps(step), *more, ""]))


async def test_nothing_to_sweep_costs_nothing(place):
    """No file, no request."""
    place.service.requests.clear()
    assert await sweep(place.keys) == NOTHING
    assert len(place.service.requests) == 0


async def test_a_key_whose_answer_nobody_heard_is_deleted(place, state):
    """By its nonce; whatever else is there stays."""
    orphan = await place.keys.create("ci~k7f3q2")
    other = await place.keys.create("ci~k7f3qa")
    begun(place)
    assert await sweep(place.keys) == Swept(deleted=(orphan.id,))
    assert [key.id for key in await place.keys.list().collect()] == [other.id]
    assert left(state) == []


async def test_an_attempt_whose_key_is_not_there_is_kept_for_a_while(place, state):
    """A slow service may make it late: it is found for ten minutes, and then the file goes."""
    begun(place)
    assert await sweep(place.keys) == Swept(waiting=("ci~k7f3q2",))
    aged(state, 590)
    late = await place.keys.create("ci~k7f3q2")
    assert await sweep(place.keys) == Swept(deleted=(late.id,))
    begun(place)
    aged(state, 610)
    assert await sweep(place.keys) == NOTHING
    assert left(state) == []


async def test_a_key_whose_secret_is_stored_is_left_alone(place, state):
    """Without a request: the store is read, and the file goes."""
    new = await place.keys.create("ci~k7f3q2")
    store = MemoryStore()
    await store.write(new.secret)
    await received(place, new.id, store, new.secret)
    place.service.requests.clear()
    assert await sweep(place.keys) == Swept(stored=(new.id,))
    assert len(place.service.requests) == 0
    assert left(state) == []


@pytest.mark.parametrize("content", [None, Secret("another secret")], ids=["empty", "another"])
async def test_a_key_whose_secret_reached_no_store_is_deleted(place, state, content):
    """What the store holds counts; what else it holds is left as it is."""
    new = await place.keys.create("ci~k7f3q2")
    store = MemoryStore()
    if content is not None:
        await store.write(content)
    await received(place, new.id, store, new.secret)
    assert await sweep(place.keys) == Swept(deleted=(new.id,))
    assert (await store.read()).secret == content
    assert await place.keys.list().collect() == []
    assert left(state) == []


async def test_a_received_key_without_an_id_is_found_by_its_name(place, state):
    """As when the answer could not be read, but held the secret."""
    new = await place.keys.create("ci~k7f3q2")
    await received(place, None, MemoryStore(), new.secret)
    assert await sweep(place.keys) == Swept(deleted=(new.id,))


async def test_a_key_that_is_gone_already_is_no_trouble(place, state):
    """Somebody deleted it by hand: the file goes."""
    new = await place.keys.create("ci~k7f3q2")
    await place.keys.delete(new.id)
    await received(place, new.id, MemoryStore(), new.secret)
    assert (await sweep(place.keys)).unresolved == ()
    assert left(state) == []


@pytest.mark.parametrize("address", ["command:true", "dotenv:/nowhere/at/all/.env#X"])
async def test_a_store_that_does_not_tell_leaves_the_decision_to_you(place, state, address):
    """The key stays, and a sentence says what is to be done; once it is deleted, the file goes."""
    new = await place.keys.create("ci~k7f3q2")
    held = attempt_files.begin(place.keys.scope, new.name, "k7f3q2")
    held.receive(new.id, address, new.secret)
    held.release()
    swept = await sweep(place.keys)
    [sentence] = swept.unresolved
    assert str(new.id) in sentence
    assert str(held.path) in sentence
    await place.keys.delete(new.id)
    assert await sweep(place.keys) == NOTHING
    assert left(state) == []


async def test_an_attempt_of_a_living_owner_is_left_alone(place, state):
    """Its file is locked, in this process and in others."""
    key = await place.keys.create("ci~k7f3q2")
    held = attempt_files.begin(place.keys.scope, key.name, "k7f3q2")
    assert await sweep(place.keys) == NOTHING
    program = (
        "from agentkeys.lifecycle.journal import FileJournal; print(FileJournal().survey().scopes)"
    )
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE
    )
    assert (await other.communicate())[0] == b"set()\n"
    held.release()
    assert (await sweep(place.keys)).deleted == (key.id,)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # of a process with threads
async def test_a_forked_child_does_not_hold_the_lock(place, state):
    """The owner's end is the end of its lock, whatever children it has."""
    await asyncio.to_thread(check_fork, place)


def check_fork(place):
    held = attempt_files.begin(place.keys.scope, "ci~k7f3q2", "k7f3q2")
    child, channel = forked_child()
    try:
        assert channel.recv(1) == b"r"
        held.release()
        assert len(attempt_files.claim(lambda _: True)) == 1
    finally:
        channel.close()
        os.waitpid(child, 0)


def forked_child():
    """Fork a child that says when it runs, and lives until the channel to it is closed."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        ours.close()
        theirs.send(b"r")
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    return child, ours


async def test_attempts_of_other_places_are_left_alone(place, state):
    """Another address, another path: not for these keys to say."""
    begun(place, realm="https://elsewhere.test")
    begun(place, id="/human/v0/inboxes/other/api-keys")
    assert await sweep(place.keys) == NOTHING
    assert len(left(state)) == 2


async def test_other_credentials_see_what_they_see(place, state):
    """A key that bears the nonce is deleted; if there is none, that proves nothing."""
    orphan = await place.keys.create("ci~k7f3q2")
    others = {"account": "somebody else", "also": ()}
    begun(place, **others)
    begun(place, name="ci~aaaaaa", nonce="aaaaaa", **others)
    aged(state, 10_000)
    swept = await sweep(place.keys)
    assert swept.deleted == (orphan.id,)
    assert "somebody else" in swept.unresolved[0]
    assert [attempt["name"] for attempt in left(state)] == ["ci~aaaaaa"]


async def test_an_exact_name_proves_nothing(place, state):
    """A key of that name is not deleted; the sentence names it."""
    key = await place.keys.create("ci")
    begun(place, name="ci", nonce=None)
    [sentence] = (await sweep(place.keys)).unresolved
    assert str(key.id) in sentence
    await place.keys.delete(key.id)
    aged(state, 610)
    assert await sweep(place.keys) == NOTHING
    assert left(state) == []


async def test_a_deletion_that_fails_can_be_done_later(place, state):
    """The file stays."""
    orphan = await place.keys.create("ci~k7f3q2")
    begun(place)
    place.service.faults.add(DELETES, Answer(403))
    [sentence] = (await sweep(place.keys)).unresolved
    assert str(orphan.id) in sentence
    # It is known to be nobody's: the next sweep can do it, and there is nothing to find out.
    assert sentence.endswith(": sweep again later, or delete the key")
    assert (await sweep(place.keys)).deleted == (orphan.id,)


async def test_a_service_that_refuses_the_list_is_an_error(place, state):
    """And nothing is forgotten."""
    begun(place)
    place.service.faults.add(LISTS, Answer(401), times="always")
    with pytest.raises(AuthenticationError):
        await sweep(place.keys)
    assert len(left(state)) == 1


async def test_a_file_that_is_not_whole_was_never_acted_on(place, state):
    """Its owner died before the line was durable, and so before anything was sent."""
    state.mkdir(parents=True)
    (state / "torn.attempt").write_text('{"scope": {"service"')
    (state / "empty.attempt").touch()
    assert await sweep(place.keys) == NOTHING
    assert attempt_files.files(state) == []


async def test_a_second_line_that_is_not_whole_was_never_acted_on(place, state):
    """The store was not written yet: the key is deleted by its name."""
    orphan = await place.keys.create("ci~k7f3q2")
    begun(place)
    [path] = attempt_files.files(state)
    path.write_text(path.read_text() + '{"key_id": 1, "sto')
    assert (await sweep(place.keys)).deleted == (orphan.id,)


async def test_a_file_of_another_version_is_left_alone(place, state):
    """What cannot be understood is not removed, and a sentence names it."""
    state.mkdir(parents=True)
    path = state / "newer.attempt"
    path.write_text('{"who": "knows"}\n')
    [sentence] = (await sweep(place.keys)).unresolved
    assert path.exists()
    assert str(path) in sentence


async def test_issuing_sweeps_its_own_place_first(place, state):
    """What an earlier process left is finished on the way."""
    orphan = await place.keys.create("ci~k7f3q2")
    begun(place)
    issued = await issue(place.keys, "ci", into=MemoryStore())
    assert [key.id for key in await place.keys.list().collect()] == [issued.key.id] != [orphan.id]


async def test_an_attempt_says_what_it_must_and_no_secret(place, state):
    """Whose, where, when, which: readable for its owner alone."""
    new = await place.keys.create("ci~k7f3q2")
    store = MemoryStore()
    await received(place, new.id, store, new.secret)
    [path] = attempt_files.files(state)
    text = path.read_text()
    assert new.secret.reveal() not in text
    plan = {
        "scope": ANYTHING,
        "name": "ci",
        "exact": False,
        "store": ANYTHING,
        "late_write": 0.0,
        "replaces": None,
        "write_only": False,
    }
    begun = {"wall": ANYTHING, "boot": ANYTHING, "uptime": ANYTHING}
    head = {"format": 4, "plan": plan, "name": "ci~k7f3q2"}
    assert [json.loads(line) for line in text.splitlines()] == [
        head | {"state": "Asking", "begun": begun, "seconds": 0.0},
        head
        | {
            "state": "Writing",
            "key_id": new.id,
            "digest": attempt_files.digest_of(new.secret),
            "alone": True,
            "begun": begun,
            "late": 0.0,
            "found": {"place": f"the memory of process {os.getpid()}", "state": ANYTHING},
        },
    ]
    assert (path.stat().st_mode & 0o777, state.stat().st_mode & 0o777) == (0o600, 0o700)
    assert open_store(store.address).describe() == store.describe()
