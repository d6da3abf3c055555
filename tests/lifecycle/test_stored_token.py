"""`StoredToken`: a client that reads its credentials from a store may replace its own key."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from chaos import client_of
from rotating import Rotation, age
from samples import agentry

from agentkeys import (
    AuthenticationError,
    ConfigurationError,
    RotationError,
    Secret,
    StoredToken,
    StoreError,
    abort,
    issue,
    rotate,
    status,
    sweep,
)
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.lifecycle.machine.states import Ousting, Writing
from agentkeys.server import LocalService
from agentkeys.stores import DotenvStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio
OPS = "ops"


@contextlib.asynccontextmanager
async def signed_in(store: Any = None, into: str = "tenant") -> AsyncIterator[Rotation]:
    """Give the keys of a client that signs in with one of them, which a store holds."""
    store = MemoryStore() if store is None else store
    async with LocalService() as service:
        async with client_of(service, "agentry") as client:
            issued = await issue(_keys(client, service, into), OPS, into=store)
        secret = (await store.read()).secret
        async with agentry(service.url, StoredToken(store)) as client:
            yield Rotation(service, _keys(client, service, into), store, issued.key, secret)


def _keys(client: Any, service: Any, into: str) -> Any:
    return client.api_keys if into == "tenant" else client.inbox(service.inbox_id).api_keys


def tokens(service: LocalService) -> list[str]:
    """Return whether each request was accepted."""
    return [str(seen.status) for seen in service.requests]


async def test_the_store_is_read_when_a_token_is_needed():
    """And again when the service refuses the one that was read."""
    async with signed_in() as own:
        await own.keys.list().collect()
        another = await own.keys.create("another")
        await own.store.write(another.secret)
        await own.keys.list().collect()  # with the one that it has, for that works
        await own.keys.delete(own.old.id)
        assert [key.id for key in await own.keys.list().collect()] == [another.id]


async def test_many_calls_read_it_once():
    """One of them reads the store for all."""
    reads = []

    class Counting(MemoryStore):
        async def read(self) -> Any:
            reads.append(1)
            await asyncio.sleep(0)
            return await super().read()

    async with signed_in(Counting()) as own:
        reads.clear()
        await asyncio.gather(*(own.keys.list().collect() for _ in range(10)))
        assert len(reads) == 1


async def test_a_store_without_a_token():
    """The sentence says which store, and nothing is sent."""
    async with LocalService() as service:
        for secret in (None, Secret("white space"), Secret("tab\t")):
            store = MemoryStore()
            if secret is not None:
                await store.write(secret)
            async with agentry(service.url, StoredToken(store)) as client:
                with pytest.raises(ConfigurationError) as raised:
                    await client.api_keys.list().collect()
            assert store.describe() in str(raised.value)
            assert "white space" not in str(raised.value).replace("holds white space", "")
        assert list(service.requests) == []


async def test_a_store_that_cannot_be_read():
    """What it raises may hold the token, so it is not shown."""

    class Leaky(MemoryStore):
        async def read(self) -> Any:
            raise RuntimeError("ag_the_token")

    store = Leaky()
    async with LocalService() as service, agentry(service.url, StoredToken(store)) as client:
        with pytest.raises(StoreError) as raised:
            await client.api_keys.list().collect()
        assert "ag_the_token" not in str(raised.value)
        assert raised.value.__cause__ is raised.value.__context__ is None
        assert raised.value.store == store.describe()


async def test_the_token_that_is_stored_is_refused():
    """It is read again once, and then the 401 is the caller's."""
    async with signed_in() as own:
        await own.store.write(Secret("ag_another"))
        with pytest.raises(AuthenticationError):
            await own.keys.list().collect()


@pytest.mark.parametrize("into", ["tenant", "inbox"])
@pytest.mark.parametrize("grace", [0, 100])
async def test_it_replaces_the_key_that_it_signs_in_with(into, grace, tmp_path):
    """The new one is verified, stored, and used from then on."""
    async with signed_in(DotenvStore(tmp_path / ".env", "OPS"), into) as own:
        for _ in range(3):
            own.service.requests.clear()
            rotated = await rotate(own.keys, OPS, into=own.store, grace=grace)
            assert "401" not in tokens(own.service)
            stored = await own.stored()
            listed = {key.id: key for key in await own.keys.list().collect()}
            before = listed[rotated.key.id].used_at
            await own.keys.list().collect()
            own.service.clock.advance(1)
            listed = {key.id: key for key in await own.keys.list().collect()}
            assert listed[rotated.key.id].used_at >= before
            assert await own.service.is_live(stored)
            assert (rotated.replaced.id in listed) == (grace > 0)
            assert (await sweep(own.keys, force=True)).unresolved == ()
        assert len(await own.keys.list().collect()) == 1


async def test_the_old_key_is_not_used_from_the_switch_on():
    """Or its own use would keep it alive for ever."""
    async with signed_in() as own:
        rotated = await rotate(own.keys, OPS, into=own.store, grace=10)
        own.service.clock.advance(5)
        for _ in range(3):
            await own.keys.list().collect()
            await sweep(own.keys)
        listed = {key.id: key for key in await own.keys.list().collect()}
        old, new = listed[rotated.replaced.id], listed[rotated.key.id]
        assert (new.used_at - old.used_at).total_seconds() >= 5


async def test_a_fresh_client_goes_on():
    """It signs in with the new key, which sees what the old one saw: the same account."""
    async with signed_in() as own:
        own.service.clock.advance(-100)  # what is used now, was used before the switch
        rotated = await rotate(own.keys, OPS, into=own.store, grace=50)
        own.service.clock.advance(100)
        age(50)
        async with agentry(own.service.url, StoredToken(own.store)) as client:
            assert (await sweep(client.api_keys)).retired == (rotated.replaced.id,)
            assert (await status()).retiring == ()
            again = await rotate(client.api_keys, OPS, into=own.store, grace=0)
            assert again.replaced.id == rotated.key.id


async def test_a_fresh_client_sees_that_the_old_key_is_gone():
    """Who deleted it died before that was noted."""
    async with signed_in() as own:
        rotated = await rotate(own.keys, OPS, into=own.store, grace=50)
        leave(lambda s: Ousting(s.key_id, s.digest, s.switched, s.found))
        await own.keys.delete(rotated.replaced.id)
        async with agentry(own.service.url, StoredToken(own.store)) as client:
            assert (await sweep(client.api_keys)).retired == (rotated.replaced.id,)
        assert [each.key_id for each in (await status()).kept] == [rotated.key.id]


async def test_a_fresh_client_finishes_what_was_written():
    """Who wrote the store died before that was noted."""
    async with signed_in() as own:
        rotated = await rotate(own.keys, OPS, into=own.store, grace=50)
        leave(lambda s: Writing(s.key_id, s.digest, True, s.switched, 0.0, s.found))
        async with agentry(own.service.url, StoredToken(own.store)) as client:
            assert (await sweep(client.api_keys)).retiring == (rotated.replaced.id,)
            assert (await sweep(client.api_keys, force=True)).retired == (rotated.replaced.id,)


def leave(turn: Any) -> None:
    """Leave the entry as it is left by who dies at another step."""
    [owned] = FileJournal().claim(lambda _: True).entries
    owned.note(attrs.evolve(owned.entry, state=turn(owned.entry.state)))
    owned.release()


async def test_it_can_be_taken_back():
    """The old key is put back, and signs in again."""
    async with signed_in() as own:
        rotated = await rotate(own.keys, OPS, into=own.store)
        assert await abort(own.keys, OPS, secret=own.secret) == (rotated.key.id,)
        assert await own.stored() == own.secret
        assert [key.id for key in await own.keys.list().collect()] == [own.old.id]


async def test_others_who_read_the_store_go_on():
    """They hold the old token until it is refused, and then they read the new one."""
    async with signed_in() as own, agentry(own.service.url, StoredToken(own.store)) as other:
        await other.api_keys.list().collect()
        await rotate(own.keys, OPS, into=own.store, grace=0)
        assert len(await other.api_keys.list().collect()) == 1


@pytest.mark.parametrize("replaces", [True, False])
async def test_a_client_with_a_plain_token_would_lock_itself_out(replaces):
    """It is told what to use instead, before anything is made."""
    async with signed_in() as own:
        elsewhere = MemoryStore()
        await elsewhere.write(own.secret)
        for credentials in (own.secret, own.secret.reveal(), StoredToken(elsewhere)):
            async with agentry(own.service.url, credentials) as client:
                how = {"replaces": own.old.id} if replaces else {}
                with pytest.raises(RotationError, match="lock itself out") as raised:
                    await rotate(client.api_keys, OPS, into=own.store, **how)
                assert own.store.address in str(raised.value)
                assert own.secret.reveal() not in str(raised.value)
                assert [key.id for key in await client.api_keys.list().collect()] == [own.old.id]
        assert (await status()).under_way == (await status()).retiring == ()
        assert await own.stored() == own.secret


async def test_a_plain_token_whose_place_is_empty():
    """How the key begins tells that it is the one."""
    async with signed_in() as own, agentry(own.service.url, own.secret) as client:
        await own.store.remove()
        with pytest.raises(RotationError, match="lock itself out"):
            await rotate(client.api_keys, OPS, into=own.store, replaces=own.old.id)
        assert len(await client.api_keys.list().collect()) == 1


async def test_a_plain_token_may_replace_other_keys():
    """Those that it does not sign in with."""
    async with signed_in() as own, agentry(own.service.url, own.secret) as client:
        store = MemoryStore()
        await issue(client.api_keys, "another", into=store)
        await rotate(client.api_keys, "another", into=store, grace=0)
        assert len(await client.api_keys.list().collect()) == 2
