"""Exactly one key is made, and its secret is in the store before the call returns."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest
from lifecycle import left

from agentkeys import (
    AuthenticationError,
    ConfigurationError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    OrphanKeyError,
    Secret,
    StoreConflictError,
    StoreError,
    TransportError,
    UncertainCreateError,
    issue,
)
from agentkeys.server.faults import (
    CREATES,
    DELETES,
    LISTS,
    Answer,
    Delay,
    HalfBody,
    MalformedJson,
    NeverAnswer,
    Reset,
)
from agentkeys.stores import MemoryStore

pytestmark = pytest.mark.asyncio
NONCE = r"~[a-z2-7]{6}"


class Broken(MemoryStore):
    """A store that fails in a given way."""

    def __init__(self, *, probe=None, write=None, after=False, readable=True) -> None:
        super().__init__()
        self.readable = readable
        self._probe, self._write, self._after = probe, write, after

    async def probe(self):
        if self._probe:
            raise self._probe

    async def write(self, secret, *, expected):
        if self._after:
            await super().write(secret, expected=expected)
        if self._write:
            raise self._write
        return await super().write(secret, expected=expected)


async def held(store) -> Secret | None:
    return (await store.read()).secret


async def test_the_key_exists_once_and_its_secret_is_stored(place, state):
    """One request, one key of the name with a nonce, its secret in the store, nothing left over."""
    store = MemoryStore()
    place.service.requests.clear()
    issued = await issue(place.keys, "billing-bot", into=store)
    assert [seen.method for seen in place.service.requests if "token" not in seen.path] == ["POST"]
    assert re.fullmatch(f"billing-bot{NONCE}", issued.key.name)
    assert await place.keys.list().collect() == [issued.key]
    assert place.holds(issued.key, await held(store))
    assert (issued.store, issued.recovered) == (store.describe(), ())
    assert left(state) == []


async def test_the_record_has_no_secret(place):
    """`issued.key` is the key as a listing shows it."""
    issued = await issue(place.keys, "ci", into=MemoryStore())
    [listed] = await place.keys.list().collect()
    assert type(issued.key) is type(listed)
    assert not any(isinstance(value, Secret) for value in place.fields(issued.key))


async def test_an_address_will_do(place, tmp_path):
    """A store can be named by its address."""
    path = tmp_path / ".env"
    await issue(place.keys, "ci", into=f"dotenv:{path}#KEY")
    assert path.read_text().startswith("KEY=")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_leaves_no_second_key(place, state, when):
    """The key that it left is found by its nonce and deleted; one that is not there may be late."""
    store = MemoryStore()
    place.service.faults.add(CREATES, Reset(), when=when)
    issued = await issue(place.keys, "ci", into=store)
    assert await place.keys.list().collect() == [issued.key]
    assert place.holds(issued.key, await held(store))
    assert len(issued.recovered) == (1 if when == "after" else 0)
    assert len(left(state)) == (1 if when == "before" else 0)


async def test_keys_of_others_are_never_deleted(place):
    """Only a key that bears the nonce is this attempt's, whatever else the others are called."""
    others = {(await place.keys.create(name)).id for name in ("ci", "ci~aaaaaa", "ci~7k")}
    place.service.faults.add(CREATES, Reset(), when="after")
    issued = await issue(place.keys, "ci", into=MemoryStore())
    assert {key.id for key in await place.keys.list().collect()} == {*others, issued.key.id}


@pytest.mark.parametrize("fault", [MalformedJson(), HalfBody()], ids=["malformed", "half"])
async def test_an_unreadable_answer_is_stored_if_it_holds_the_secret(place, fault, state, caplog):
    """What was salvaged is stored first; the logger complains afterwards. Else it is a lost one."""
    store = MemoryStore()
    place.service.faults.add(CREATES, fault, when="after")
    issued = await issue(place.keys, "ci", into=store)
    assert await place.keys.list().collect() == [issued.key]
    assert place.holds(issued.key, await held(store))
    complaints = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(complaints) == (0 if issued.recovered else 1)
    assert left(state) == []


async def test_a_refusal_is_reported_as_it_is(place, state):
    """The service said no: no key, no second attempt, nothing left over."""
    place.service.faults.add(CREATES, Answer(401), times="always")
    with pytest.raises(AuthenticationError) as caught:
        await issue(place.keys, "ci", into=MemoryStore())
    assert caught.value.applied == "no"
    assert left(state) == []


async def test_it_gives_up_after_four_attempts_and_leaves_nothing(place, state):
    """A service that never answers its creates: the last error, and all keys are deleted again."""
    place.service.faults.add(CREATES, Reset(), when="after", times="always")
    with pytest.raises(TransportError, match="the leftover key was deleted") as caught:
        await issue(place.keys, "ci", into=MemoryStore())
    assert caught.value.applied == "no"
    assert "check before you repeat the call" not in str(caught.value)
    assert await place.keys.list().collect() == []
    assert left(state) == []


@pytest.mark.parametrize("routes", [LISTS, DELETES], ids=["list", "delete"])
async def test_a_key_that_cannot_be_looked_for_is_named(place, state, routes):
    """OrphanKeyError has its name and what to do; the attempt is remembered."""
    place.service.faults.add(CREATES, Reset(), when="after", times="always")
    place.service.faults.add(routes, Answer(403), times="always")
    with pytest.raises(OrphanKeyError, match="agentkeys sweep") as caught:
        await issue(place.keys, "ci", into=MemoryStore())
    [attempt] = left(state)
    assert caught.value.name == attempt["name"]
    assert repr(attempt["name"]) in str(caught.value)
    assert caught.value.method == "POST"


async def test_keys_that_may_come_late_are_named(place, state):
    """If no attempt was answered and none is there, all of them are remembered."""
    place.service.faults.add(CREATES, Reset(), when="before", times="always")
    with pytest.raises(OrphanKeyError, match="a slow service may still make the key") as caught:
        await issue(place.keys, "ci", into=MemoryStore())
    names = {attempt["name"] for attempt in left(state)}
    assert len(names) == 4
    assert all(repr(name) in str(caught.value) for name in names)


async def test_the_deadline_is_kept_and_leaves_time_for_the_recovery(place, state):
    """A create that is not answered gets half of the time; the rest is enough to start anew."""
    place.service.faults.add(CREATES, NeverAnswer(), when="after")
    begun = asyncio.get_running_loop().time()
    issued = await issue(place.keys, "ci", into=MemoryStore(), timeout=2)
    assert asyncio.get_running_loop().time() - begun < 2
    assert len(issued.recovered) == 1


class TestStores:
    """What a store does, and what becomes of the key."""

    async def test_a_store_that_cannot_keep_a_secret_ends_it_before_anything_is_sent(self, place):
        """The probe comes first."""
        store = Broken(probe=StoreError("the disk is full"))
        place.service.requests.clear()
        with pytest.raises(StoreError, match="the disk is full"):
            await issue(place.keys, "ci", into=store)
        assert len(place.service.requests) == 0

    async def test_a_secret_that_is_there_is_not_lost(self, place):
        """A store that holds one is refused; `replace` permits it."""
        store = MemoryStore()
        await store.write(Secret("the only copy"))
        place.service.requests.clear()
        with pytest.raises(StoreConflictError, match="already holds a secret"):
            await issue(place.keys, "ci", into=store)
        assert len(place.service.requests) == 0
        assert await held(store) == Secret("the only copy")
        issued = await issue(place.keys, "ci", into=store, replace=True)
        assert place.holds(issued.key, await held(store))

    @pytest.mark.parametrize("error", [StoreError("it broke"), RuntimeError("S3NT1NEL"), OSError()])
    async def test_a_store_that_fails_leaves_no_key(self, place, state, error):
        """The key is deleted again, and the error says both."""
        with pytest.raises(StoreError, match="the new key was deleted") as caught:
            await issue(place.keys, "ci", into=Broken(write=error))
        assert "S3NT1NEL" not in str(caught.value)
        assert await place.keys.list().collect() == []
        assert left(state) == []

    async def test_what_the_store_holds_counts_and_not_what_it_says(self, place):
        """A write that reports a failure but has happened is a success."""
        store = Broken(write=StoreError("the folder was not synced"), after=True)
        issued = await issue(place.keys, "ci", into=store)
        assert place.holds(issued.key, await held(store))

    async def test_another_writer_in_between_is_a_conflict(self, place, state):
        """Whoever is second gives way, and its key is deleted."""
        store = Broken(write=StoreConflictError("somebody else was faster"))
        with pytest.raises(StoreConflictError, match="the new key was deleted"):
            await issue(place.keys, "ci", into=store)
        assert await place.keys.list().collect() == []

    async def test_if_the_key_cannot_be_deleted_either_it_is_named(self, place, state):
        """OrphanKeyError has the id, and both reasons."""
        place.service.faults.add(DELETES, Answer(403), times="always")
        with pytest.raises(OrphanKeyError, match=r"it broke.*could not be deleted") as caught:
            await issue(place.keys, "ci", into=Broken(write=StoreError("it broke")))
        [key] = await place.keys.list().collect()
        assert (caught.value.key_id, caught.value.name) == (key.id, key.name)
        assert caught.value.applied == "yes"
        assert len(left(state)) == 1

    async def test_a_store_that_hangs_is_not_waited_for(self, place):
        """It gets half of the time; the other half is for the deletion of the key."""

        class Hanging(MemoryStore):
            async def write(self, secret, *, expected):
                await asyncio.Event().wait()

        advice = r"more than 0\.\d{1,2} s: set a longer timeout; the new key was deleted"
        with pytest.raises(StoreError, match=advice):
            await issue(place.keys, "ci", into=Hanging(), timeout=1)
        assert await place.keys.list().collect() == []


class TestExactName:
    """Without a nonce nothing proves whose a key is."""

    async def test_the_key_has_the_very_name(self, place):
        """No ~ and nothing behind it."""
        issued = await issue(place.keys, "ci", into=MemoryStore(), exact_name=True)
        assert issued.key.name == "ci"

    async def test_a_lost_answer_names_the_candidates(self, place):
        """The keys of that name that were not there before; nothing is deleted."""
        if place.name == "agentry":  # there names need not be unique
            await place.keys.create("ci")
        before = {key.id for key in await place.keys.list().collect()}
        place.service.faults.add(CREATES, Reset(), when="after")
        with pytest.raises(UncertainCreateError) as caught:
            await issue(place.keys, "ci", into=MemoryStore(), exact_name=True)
        after = {key.id for key in await place.keys.list().collect()}
        assert set(caught.value.candidates) == after - before
        assert len(caught.value.candidates) == 1
        assert (caught.value.name, caught.value.applied) == ("ci", "maybe")

    async def test_candidates_that_cannot_be_listed(self, place):
        """The error says that, too."""
        place.service.faults.add(CREATES, Reset(), when="after")
        first = place.service.faults.add(LISTS, Delay(0.0))
        place.service.faults.add(LISTS, Answer(403), times="always")
        with pytest.raises(UncertainCreateError, match="could not be listed") as caught:
            await issue(place.keys, "ci", into=MemoryStore(), exact_name=True)
        assert first.hits == 1
        assert caught.value.candidates == ()

    async def test_a_nickname_that_is_taken(self, place, state):
        """Agentity's are unique: 409, as from `create`; nothing is left over."""
        if place.name == "agentry":
            pytest.skip("Agentry's names need not be unique")
        await place.keys.create("ci")
        with pytest.raises(ConflictError):
            await issue(place.keys, "ci", into=MemoryStore(), exact_name=True)
        assert left(state) == []


class TestBadInput:
    """A sentence, and nothing is sent."""

    @pytest.mark.parametrize(
        "arguments",
        [
            {"name": ""},
            {"name": 7},
            {"into": 7},
            {"into": "nonsense"},
            {"timeout": 0},
            {"timeout": float("nan")},
            {"colour": "red"},
        ],
        ids=str,
    )
    async def test_wrong_arguments_of_issue_send_nothing(self, place, state, arguments):
        """InvalidArgumentError, no request, no file."""
        place.service.requests.clear()
        with pytest.raises(InvalidArgumentError):
            await issue(place.keys, **{"name": "ci", "into": MemoryStore(), **arguments})
        assert len(place.service.requests) == 0
        assert left(state) == []

    async def test_an_attempt_that_cannot_be_remembered(self, place, tmp_path, monkeypatch):
        """No file, no request but a login: a crash would leave a key that nobody knows of."""
        (tmp_path / "file").touch()
        monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "file"))
        place.service.requests.clear()
        with pytest.raises(ConfigurationError, match="AGENTKEYS_HOME"):
            await issue(place.keys, "ci", into=MemoryStore())
        assert {seen.path for seen in place.service.requests} <= {"/auth/token"}

    async def test_a_place_that_is_not_there(self, place, state):
        """The service's own refusal, and nothing left over."""
        if place.name == "agentity":
            pytest.skip("an account has one place")
        with pytest.raises(NotFoundError):
            await issue(place.client.inbox("nowhere").api_keys, "ci", into=MemoryStore())
        assert left(state) == []


async def test_what_else_create_takes(place):
    """Permissions, on Agentry's agent surface."""
    if place.name == "agentity":
        pytest.skip("Agentity's create takes nothing else")
    keys = place.client.agent.api_keys
    issued = await issue(keys, "ci", into=MemoryStore(), permissions={"read_inbox": True})
    assert issued.key.permissions == {"read_inbox": True}


async def test_a_name_with_a_tilde(place):
    """The nonce is what comes last."""
    issued = await issue(place.keys, "a~b", into=MemoryStore())
    assert re.fullmatch(f"a~b{NONCE}", issued.key.name)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_cancelled_issue_stores_its_secret_first(place, state, when):
    """Once the request is on its way it runs on; then the cancellation goes on."""
    store = MemoryStore()
    fault = place.service.faults.add(CREATES, Delay(0.2), when=when)
    call = asyncio.create_task(issue(place.keys, "ci", into=store))
    await fault.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    [key] = await place.keys.list().collect()
    assert place.holds(key, await held(store))
    assert left(state) == []


async def test_a_cancelled_issue_that_hears_nothing_is_remembered(place, state, caplog):
    """The file stays, and one warning says so."""
    fault = place.service.faults.add(CREATES, NeverAnswer(), when="after")
    place.service.faults.add(LISTS, Answer(403))
    call = asyncio.create_task(issue(place.keys, "ci", into=MemoryStore(), timeout=0.6))
    await fault.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    [key] = await place.keys.list().collect()
    assert [attempt["name"] for attempt in left(state)] == [key.name]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
