"""Stores that give no credentials: a sentence, in time, and no secret in it."""

from __future__ import annotations

import asyncio
import pickle
import re
import time
from typing import Any

import pytest
from accounts import EMAIL, KEYS, LOGIN, Service, login, targets
from holding import Hanging, Holding
from leaks import shown
from samples import agentity, jwt
from wire import Seen, Wire, answer

from agentkeys import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidArgumentError,
    PasswordLogin,
    Secret,
    StoredToken,
    StoreError,
)
from agentkeys.stores import CommandStore, MemoryStore

pytestmark = pytest.mark.asyncio


async def test_a_store_that_cannot_be_read_again():
    """Its error is raised, and says nothing of a library's."""
    store = Holding("wrong", RuntimeError("S3NT1NEL"))
    async with Wire(Service()) as wire, agentity(wire.url, login(store)) as client:
        with pytest.raises(
            StoreError, match=r"password in .* cannot be read: RuntimeError"
        ) as raised:
            await client.api_keys.list().collect()
    assert targets(wire) == [LOGIN]
    assert "S3NT1NEL" not in shown(raised.value)


CREDENTIALS = {"password": login, "token": StoredToken}


@pytest.mark.parametrize("what", CREDENTIALS)
@pytest.mark.parametrize(
    ("held", "error", "says"),
    [
        (None, ConfigurationError, "there is no {what} in {place}: store one there"),
        (StoreError("the keyring is locked: unlock it"), StoreError, "is locked: unlock it"),
        (OSError("S3NT1NEL"), StoreError, "the {what} in {place} cannot be read: OSError"),
    ],
    ids=["empty", "locked", "broken"],
)
async def test_a_store_without_it(what, held, error, says):
    """A sentence says which store and what to do, and nothing is sent."""
    store = Holding(held)
    async with Wire(answer(500)) as wire, agentity(wire.url, CREDENTIALS[what](store)) as client:
        with pytest.raises(error) as raised:
            await client.api_keys.create("x")
    assert says.format(what=what, place=store.describe()) in str(raised.value)
    assert "S3NT1NEL" not in shown(raised.value)
    assert wire.requests == []


@pytest.mark.parametrize("what", CREDENTIALS)
@pytest.mark.parametrize("held", ["S3NT1NEL\ud800", "", "S3NT1NEL token", "S3NT1NEL\n"])
async def test_a_store_with_what_cannot_be_sent(what, held):
    """A sentence says which store; a password may have white space in it."""
    store = Holding(held)
    is_fine = what == "password" and held and "\ud800" not in held
    async with Wire(Service(held) if is_fine else answer(500)) as wire:
        async with agentity(wire.url, CREDENTIALS[what](store)) as client:
            if is_fine:
                await client.api_keys.list().collect()
                return
            with pytest.raises(ConfigurationError, match=re.escape(store.describe())) as raised:
                await client.api_keys.list().collect()
    assert "S3NT1NEL" not in shown(raised.value)
    assert wire.requests == []


@pytest.mark.parametrize("what", CREDENTIALS)
@pytest.mark.parametrize("held", ["S3NT1NEL", b"S3NT1NEL", ["S3NT1NEL"]])
async def test_a_store_that_gives_no_secret(what, held):
    """Of somebody's own; what it gives shows nowhere."""

    class Odd(MemoryStore):
        async def read(self) -> Any:
            return Given(held)

    class Given:
        def __init__(self, secret: object) -> None:
            self.secret = secret

    async with Wire(answer(500)) as wire, agentity(wire.url, CREDENTIALS[what](Odd())) as client:
        with pytest.raises(
            StoreError, match=f"is not a Secret but {type(held).__name__}"
        ) as raised:
            await client.api_keys.list().collect()
    assert "S3NT1NEL" not in shown(raised.value)
    assert wire.requests == []


@pytest.mark.parametrize("what", CREDENTIALS)
async def test_a_store_that_hangs(what):
    """Law 3: the call ends by its own deadline, and a later one by what the store says then."""
    service, store = Service(), Hanging()
    service.token = jwt("1")
    await store.write(Secret("one" if what == "password" else service.token))
    async with Wire(service) as wire, agentity(wire.url, CREDENTIALS[what](store)) as client:
        begun = time.monotonic()
        for timeout in (0.2, 0.1):
            with pytest.raises(DeadlineExceededError) as raised:
                await client.api_keys.list(timeout=timeout).collect()
        assert time.monotonic() - begun < 5
        assert (raised.value.applied, wire.requests) == ("no", [])
        store.open()
        assert await client.api_keys.list().collect() == []


async def test_a_store_that_hangs_when_it_is_read_again():
    """After a refused login, and after a refused token."""
    service, store = Service(), Hanging(first=1)
    await store.write(Secret("bad"))
    async with Wire(service) as wire, agentity(wire.url, login(store)) as client:
        with pytest.raises(DeadlineExceededError):
            await client.api_keys.list(timeout=0.2).collect()
        assert (targets(wire), store.reads) == ([LOGIN], 2)
    service.token, store = "old", Hanging(first=1)
    await store.write(Secret("old"))
    async with Wire(service) as wire, agentity(wire.url, StoredToken(store)) as client:
        await client.api_keys.list().collect()
        service.token = "new"
        with pytest.raises(DeadlineExceededError):
            await client.api_keys.list(timeout=0.2).collect()
        assert (targets(wire), store.reads) == ([KEYS, KEYS], 2)


async def test_a_call_that_is_cancelled_leaves_the_read_to_the_others():
    """The read belongs to nobody."""
    service, store = Service(), Hanging()
    await store.write(Secret("one"))
    async with Wire(service) as wire, agentity(wire.url, login(store)) as client:
        first = asyncio.create_task(client.api_keys.list().collect())
        await asyncio.to_thread(store.asked.wait)
        second = asyncio.create_task(client.api_keys.list().collect())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        store.open()
        assert await second == []
    assert targets(wire) == [LOGIN, KEYS]


@pytest.mark.parametrize("given", [{}, {"password": "pw", "password_from": "memory:x"}])
async def test_a_password_or_a_store(given):
    """One of the two, and a sentence says so."""
    with pytest.raises(InvalidArgumentError, match=r"password_from.* not both") as raised:
        PasswordLogin(EMAIL, **given)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("make", [login, StoredToken])
async def test_what_is_no_address_is_not_shown(make):
    """Somebody may give the secret itself."""
    for wrong in ("S3NT1NEL-address", "dotenv:S3NT1NEL-address", b"S3NT1NEL-address", 5, ["x"]):
        with pytest.raises(InvalidArgumentError) as raised:
            make(wrong)
        assert "S3NT1NEL" not in shown(raised.value)


@pytest.mark.parametrize("make", [login, StoredToken])
async def test_a_program_is_no_source(make, tmp_path):
    """A program that takes secrets gives none, and is not run."""
    touch = f"touch {tmp_path / 'ran'}"
    for store in (f"command:{touch}", CommandStore(touch.split())):
        async with Wire(answer(500)) as wire, agentity(wire.url, make(store)) as client:
            with pytest.raises(StoreError, match="write-only"):
                await client.api_keys.create("x")
            assert wire.requests == []
    assert not (tmp_path / "ran").exists()


async def test_it_shows_nowhere_and_cannot_be_pickled():
    """Neither before a login nor after one."""
    store = Holding("S3NT1NEL-password")
    service = Service("S3NT1NEL-password")
    credentials = login(store)
    async with Wire(service) as wire, agentity(wire.url, credentials) as client:
        assert [*credentials.secrets()] == []
        await client.api_keys.list().collect()
    assert Secret("S3NT1NEL-password") in credentials.secrets()
    assert "S3NT1NEL" not in repr(credentials) + str(vars(credentials))
    for each in (credentials, StoredToken(store)):
        with pytest.raises(TypeError):
            pickle.dumps(each)


async def test_a_service_that_says_the_password_is_masked():
    """While it is used, and after."""
    password = "S3NT1NEL-of-a-store-0"
    service = Service(password)

    def telling(seen: Seen) -> Any:
        said = {"message": f"you said {password}"}
        return service(seen) if seen.target == LOGIN else answer(500, said)

    store = Holding(password)
    async with Wire(telling) as wire, agentity(wire.url, login(store)) as client:
        with pytest.raises(Exception, match="you said") as raised:
            await client.api_keys.create("x")
    assert password not in shown(raised.value)
    async with Wire(answer(401, {"message": f"not {password}"})) as wire:
        async with agentity(wire.url, login(store)) as client:
            with pytest.raises(AuthenticationError, match="not ") as raised:
                await client.api_keys.create("x")
    assert password not in shown(raised.value)
