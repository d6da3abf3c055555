"""What goes wrong around the request: one error each, which says what is left; nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import attempt_files
import keyring
import pytest
from chaos import BASE, SERVICES, Fickle, place_at
from keyring.backend import KeyringBackend
from leaks import shown
from lifecycle import died_before_storing

from agentkeys import (
    BadRequestError,
    ConflictError,
    DeadlineExceededError,
    DecodeError,
    OrphanKeyError,
    Secret,
    StoreError,
    Swept,
    UncertainCreateError,
    UncertainStoreError,
    issue,
    sweep,
)
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.machine.moments import Moment
from agentkeys.server.faults import (
    CREATES,
    DELETES,
    LISTS,
    LOGIN,
    REFRESH,
    Answer,
    Close,
    Delay,
    MalformedJson,
    NeverAnswer,
    Reset,
)
from agentkeys.stores import ANY, MemoryStore

pytestmark = pytest.mark.asyncio
services = pytest.mark.parametrize("which", SERVICES)


def left() -> list[Path]:
    return attempt_files.files(attempt_files.folder())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@services
async def test_a_store_that_fails_after_it_has_stored_has_stored(which):
    """What the store holds counts, and not what it says."""
    async with place_at(which) as place:
        store = Fickle("write fails after")
        await issue(place.keys, BASE, into=store)
        await place.holds_one_key_that_works(store)
    assert left() == []


@services
@pytest.mark.parametrize(
    "moods",
    [
        ["write fails before"],
        ["write hangs"],
    ],
    ids="; ".join,
)
async def test_a_secret_that_cannot_be_stored_has_no_key(which, moods):
    """The key is deleted again, the error says so and shows nothing of the secret."""
    async with place_at(which) as place:
        store = Fickle(*moods)
        with pytest.raises(StoreError, match="the new key was deleted") as caught:
            await issue(place.keys, BASE, into=store, timeout=1)
        assert await place.ids() == []
    assert "agk_live" not in shown(caught.value)
    assert "ag_" not in shown(caught.value)
    assert left() == []


@services
@pytest.mark.parametrize("mood", ["read fails later", "read hangs"])
async def test_a_store_that_cannot_be_looked_into_may_hold_the_secret(which, mood):
    """The key is kept, and named; once the store can be read, a sweep deletes it or not."""
    async with place_at(which) as place:
        store = Fickle("write hangs", mood)
        with pytest.raises(UncertainStoreError, match="the key is kept") as caught:
            await issue(place.keys, BASE, into=store, timeout=1)
        [key_id] = await place.ids()
        assert (caught.value.key_id, len(left())) == (key_id, 1)
        assert caught.value.name in str(caught.value)
    assert "agk_live" not in shown(caught.value)


class Threaded:
    """A store of somebody's own, whose thread goes on when the call is cancelled."""

    readable = True
    address = "threaded:"

    def __init__(self):
        self.may_write, self.has_written = threading.Event(), threading.Event()
        self._memory = MemoryStore()
        self.describe, self.probe = self._memory.describe, self._memory.probe
        self.read, self.remove = self._memory.read, self._memory.remove

    async def write(self, secret, *, expected=ANY):
        return await asyncio.to_thread(self._write, secret, expected)

    def _write(self, secret, expected):
        self.may_write.wait()
        version = asyncio.run(self._memory.write(secret, expected=expected))
        self.has_written.set()
        return version


async def test_a_write_that_goes_on_in_a_thread_stores_no_dead_secret():
    """Of a store that does not say that it has ended, nothing is known: the key is kept."""
    async with place_at("agentry") as place:
        store = Threaded()
        try:
            with pytest.raises(UncertainStoreError, match="the key is kept"):
                await issue(place.keys, BASE, into=store, timeout=1)
        finally:
            store.may_write.set()
        await asyncio.to_thread(store.has_written.wait)
        await place.holds_one_key_that_works(store)


@pytest.mark.parametrize("mood", ["probe fails", "read fails"])
async def test_a_store_of_anybodys_fails_as_a_store(mood):
    """Whatever it raises is a StoreError before anything is sent."""
    async with place_at("agentry") as place:
        with pytest.raises(StoreError, match="RuntimeError"):
            await issue(place.keys, BASE, into=Fickle(mood))
        assert len(place.service.requests) == 0


@services
@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429])
async def test_a_no_that_was_a_yes_is_found_out(which, status):
    """A proxy that asks twice gets a 409 for its second: the nonce shows that the key is ours."""
    async with place_at(which) as place:
        place.service.faults.add(CREATES, Answer(status, {"message": "no"}), when="after")
        store = MemoryStore()
        issued = await issue(place.keys, BASE, into=store)
        assert await place.holds_one_key_that_works(store) == issued.key.id
        assert len(issued.recovered) == 1
    assert left() == []


async def test_a_refused_create_is_looked_into_though_a_login_ends_the_call():
    """A 401 leads to a login, in which the time is up: the create may have been acted on."""
    async with place_at("agentity") as place:
        await place.ids()  # so that there is a token
        place.service.faults.add(CREATES, Answer(401), when="after", times="always")
        place.service.faults.add(LOGIN | REFRESH, NeverAnswer(), times="always")
        with pytest.raises(DeadlineExceededError):
            await issue(place.keys, BASE, into=MemoryStore(), timeout=1)
        assert await place.ids() == []
    assert left() == []


@pytest.mark.parametrize("status", [401, 429])
async def test_a_second_try_leaves_no_first_key(status):
    """If a try was refused, and the next one not, there is no key of the first."""
    async with place_at("agentry") as place:
        headers = {"Retry-After": "0"}
        place.service.faults.add(CREATES, Answer(status, headers=headers), when="after")
        store = MemoryStore()
        issued = await issue(place.keys, BASE, into=store)
        assert await place.holds_one_key_that_works(store) == issued.key.id
        assert len(issued.recovered) == 1
    assert left() == []


@services
@pytest.mark.parametrize("listing", [Close(), NeverAnswer(), Answer(503)], ids=repr)
async def test_a_refusal_that_cannot_be_looked_into_is_remembered(which, listing):
    """The refusal is raised as it is, if there is time, and a file stays for a sweep."""
    async with place_at(which) as place:
        place.service.faults.add(CREATES, Answer(400), when="after")
        place.service.faults.add(LISTS, listing, times="always")
        with pytest.raises((BadRequestError, OrphanKeyError)):
            await issue(place.keys, BASE, into=MemoryStore(), timeout=1)
        place.service.faults.clear()
        assert len((await sweep(place.keys)).deleted) == 1
        assert await place.ids() == []
    assert left() == []


async def test_a_refusal_after_an_unseen_key_names_that_key():
    """The last attempt made nothing, but the one before may have: applied is not "no"."""
    async with place_at("agentry") as place:
        place.service.faults.add(CREATES, Reset())
        place.service.faults.add(CREATES, Answer(403))
        with pytest.raises(OrphanKeyError) as caught:
            await issue(place.keys, BASE, into=MemoryStore())
        [held] = attempt_files.claim(lambda _: True)
        held.finish()
    name = held.entry.name
    assert caught.value.name == name
    assert caught.value.applied == "maybe"


@services
async def test_an_orphan_that_was_seen_is_named_by_its_id(which):
    """The list shows it, and it cannot be deleted: the error has its id."""
    async with place_at(which) as place:
        place.service.faults.add(CREATES, Reset(), when="after")
        place.service.faults.add(DELETES, Answer(500), times="always")
        with pytest.raises(OrphanKeyError) as caught:
            await issue(place.keys, BASE, into=MemoryStore())
        [key_id] = await place.ids()
        assert caught.value.key_id == key_id
        assert caught.value.applied == "yes"
        assert str(key_id) in str(caught.value)


@services
async def test_a_stored_key_is_never_late(which):
    """Once the secret is stored, a listing that is never answered does not hide that."""
    async with place_at(which) as place:
        place.service.faults.add(CREATES, MalformedJson(), when="after")
        place.service.faults.add(LISTS, NeverAnswer(), times="always")
        store = MemoryStore()
        with pytest.raises(DecodeError, match="the key's secret is stored") as caught:
            await issue(place.keys, BASE, into=store, timeout=1)
        assert caught.value.applied == "yes"
        place.service.faults.clear()
        await place.holds_one_key_that_works(store)
    assert left() == []


@services
@pytest.mark.parametrize("length", [248, 249, 250, 255])
async def test_a_name_with_no_room_for_the_nonce_says_so(which, length):
    """The services take 255 characters, and the nonce needs seven of them."""
    name = "n" * length
    async with place_at(which) as place:
        if length <= 248:
            issued = await issue(place.keys, name, into=MemoryStore())
            assert len(issued.key.name) == 255
            return
        with pytest.raises(BadRequestError, match="7 characters longer") as caught:
            await issue(place.keys, name, into=MemoryStore())
        assert caught.value.applied == "no"
        store = MemoryStore()
        issued = await issue(place.keys, name, into=store, exact_name=True)
        assert issued.key.name == name
        assert await place.is_kept(store)
    assert left() == []


@services
@pytest.mark.parametrize("name", ["~", "a~b", "a~bcdefg", "~~~~~~~"])
async def test_a_name_with_a_tilde_is_a_name(which, name):
    """It is kept, and its keys are no attempt's: a lost answer deletes none of them."""
    async with place_at(which) as place:
        other = await place.keys.create(name)
        place.service.faults.add(CREATES, Reset(), when="after")
        issued = await issue(place.keys, name, into=MemoryStore())
        assert issued.key.name.startswith(f"{name}~")
        listed = {key.id for key in await place.keys.list().collect()}
        assert listed == {other.id, issued.key.id}


async def test_a_nickname_that_is_taken_stays_whose_it_is():
    """A conflict, and the key that has the name is left alone."""
    async with place_at("agentity") as place:
        other = await place.keys.create(BASE)
        store = MemoryStore()
        with pytest.raises(ConflictError, match="choose another name") as caught:
            await issue(place.keys, BASE, into=store, exact_name=True)
        assert caught.value.applied == "no"
        assert await place.service.is_live(other.secret)
        assert (await store.read()).secret is None
    assert left() == []


@services
async def test_an_exact_name_that_is_late_names_no_sweep(which):
    """Nobody can tell later whose key of that name it is, so the caller must look."""
    async with place_at(which) as place:
        place.service.faults.add(CREATES, NeverAnswer(), when="after")
        place.service.faults.add(LISTS, Delay(0))
        place.service.faults.add(LISTS, NeverAnswer(), times="always")
        with pytest.raises(UncertainCreateError) as caught:
            await issue(place.keys, BASE, into=MemoryStore(), exact_name=True, timeout=1)
        assert caught.value.applied == "maybe"
        assert "sweep" not in str(caught.value)


@services
async def test_a_key_is_deleted_by_its_name_and_never_by_its_id_alone(which):
    """A service that was set up anew at the same address has given the id to somebody else's."""
    async with place_at(which) as place:
        theirs = await place.keys.create("theirs")
        for nonce in ("aaaaaa", None):
            held = attempt_files.begin(place.keys.scope, f"ours~{nonce}", nonce)
            await died_before_storing(held, theirs.id, MemoryStore(), Secret("gone"))
        swept = await sweep(place.keys)
        assert swept.deleted == ()
        assert await place.service.is_live(theirs.secret)


async def test_a_sweep_of_one_place_hides_no_attempt_of_another():
    """It looks whose an attempt is before it locks it: else another sweep would take it to live."""
    async with place_at("agentry") as place:
        attempt_files.begin(place.keys.scope, f"{BASE}~aaaaaa", "aaaaaa").release()
        found = []

        def is_wanted(_):
            found.extend(attempt_files.claim(lambda _: True))
            return False

        assert attempt_files.claim(is_wanted) == []
    [held] = found
    held.finish()


@services
async def test_the_exact_name_and_the_id_together_are_no_proof(which):
    """A service that was set up anew may have given both to another key: only a nonce proves it."""
    async with place_at(which) as place:
        mine = await place.keys.create(BASE)
        held = attempt_files.begin(place.keys.scope, BASE, None)
        await died_before_storing(held, mine.id, MemoryStore(), Secret("gone"))
        [sentence] = (await sweep(place.keys)).unresolved
        assert str(mine.id) in sentence
        assert await place.service.is_live(mine.secret)
        await place.keys.delete(mine.id)
        assert await sweep(place.keys) == Swept()
    assert left() == []


async def test_a_sweep_waits_as_long_as_the_request_may_have_been_sent():
    """Of a call with an hour's patience, the request may have been sent after half of it."""
    async with place_at("agentry") as place:
        begun = Moment(time.time() - 1800)
        name = f"{BASE}~aaaaaa"
        attempt_files.begin(place.keys.scope, name, "aaaaaa", seconds=3600, begun=begun).release()
        assert (await sweep(place.keys)).waiting == (f"{BASE}~aaaaaa",)


class Silent(KeyringBackend):
    """A keyring that asks somebody for a password who is not there."""

    priority = 0

    def get_password(self, service, username):
        GATE.wait(20)

    set_password = delete_password = get_password


GATE = threading.Event()


@pytest.mark.slow
async def test_a_sweep_does_not_wait_for_a_store_that_hangs():
    """Within its timeout it says that it could not tell, and deletes nothing."""
    used = keyring.get_keyring()
    keyring.set_keyring(Silent())
    try:
        async with place_at("agentry") as place:
            new = await place.keys.create(f"{BASE}~aaaaaa")
            held = attempt_files.begin(place.keys.scope, new.name, "aaaaaa")
            held.receive(new.id, "keyring:agentkeys tests#KEY", new.secret)
            held.release()
            [sentence] = (await sweep(place.keys, timeout=9)).unresolved
            assert "did not answer" in sentence
            assert await place.service.is_live(new.secret)
    finally:
        GATE.set()
        keyring.set_keyring(used)


async def test_a_store_whose_folder_is_gone_may_hold_the_secret(tmp_path):
    """A disk that is not mounted now: nobody can tell, and so the key is left alone."""
    async with place_at("agentry") as place:
        new = await place.keys.create(f"{BASE}~aaaaaa")
        held = attempt_files.begin(place.keys.scope, new.name, "aaaaaa")
        held.receive(new.id, f"dotenv:{tmp_path}/unmounted/.env#KEY", new.secret)
        held.release()
        [sentence] = (await sweep(place.keys)).unresolved
        assert "its folder does not exist" in sentence
        assert await place.service.is_live(new.secret)


async def test_a_file_that_cannot_be_locked_or_read_is_left_alone(caplog):
    """A folder, or something else than an attempt, stops no sweep and leaks no descriptor."""
    folder = attempt_files.folder()
    folder.mkdir(parents=True)
    (folder / "nonsense.attempt").write_text("nonsense\n")
    (folder / "folder.attempt").mkdir()
    (folder / "torn.attempt").write_text('{"scope":')
    async with place_at("agentry") as place:
        before = descriptors()
        for _ in range(3):
            await sweep(place.keys)
        assert descriptors() == before
    assert [path.name for path in left()] == ["folder.attempt", "nonsense.attempt"]


async def test_what_a_slow_disk_gives_too_late_is_undone():
    """The caller was cancelled, and cancelled again: the thread's work is undone by itself."""
    gate, undone = threading.Event(), threading.Event()
    call = asyncio.ensure_future(disk.in_thread(lambda: gate.wait(20), undo=lambda _: undone.set()))
    await asyncio.sleep(0)
    for _ in range(2):
        call.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    assert await asyncio.to_thread(undone.wait, 20)


async def test_an_attempt_that_is_let_go_while_it_is_written_is_closed_afterwards():
    """Nobody waits for a disk that hangs, and no descriptor or lock is left behind."""
    async with place_at("agentry") as place:
        held = attempt_files.begin(place.keys.scope, BASE, None)
        before = descriptors()
        with held.owned._lock:
            held.release()
            assert descriptors() == before
        with pytest.raises(OSError, match="its time was up"):  # so nothing is stored
            held.receive(1, "memory:x", Secret("s"))
        assert descriptors() == before - 1
        [again] = attempt_files.claim(lambda _: True)
        assert again.entry.key_id == 1
        again.finish()
