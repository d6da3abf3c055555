"""Law 4 for credentials that a store holds: read when needed, once for all calls, and once again.

A store that still holds what was refused ends the call at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from accounts import KEYS, LOGIN, REFRESH, Service, login, targets
from holding import Holding
from keyring.backends import fail
from keyrings.alt.file import PlaintextKeyring
from samples import NEW_KEY, agentity, agentry, jwt
from wire import Wire

from agentkeys import (
    AuthenticationError,
    PasswordLogin,
    Secret,
    StoredToken,
)
from agentkeys.agentity import login as log_in
from agentkeys.server import LocalService
from agentkeys.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.asyncio


@pytest.fixture
def places(tmp_path) -> Iterator[dict[str, str]]:
    """The addresses of real stores; the keyring is a file of the test's own."""
    backend = PlaintextKeyring()
    backend.file_path = str(tmp_path / "keyring.cfg")
    keyring.set_keyring(backend)
    yield {
        "dotenv": f"dotenv:{tmp_path / '.env'}#SECRET",
        "file": f"file:{tmp_path / 'secret'}",
        "keyring": "keyring:agentkeys#secret",
        "memory": f"memory:{tmp_path}",
    }
    keyring.set_keyring(fail.Keyring())


@pytest.mark.parametrize("kind", ["dotenv", "file", "keyring", "memory"])
async def test_each_store_is_a_source(kind, places):
    """Of a password, of an access token, and of an Agentry key."""
    store = open_store(places[kind])
    async with LocalService() as service:
        access = await log_in(service.email, service.password, base_url=service.url)
        await store.write(Secret(service.password))
        by_password = PasswordLogin(service.email, password_from=places[kind])
        async with agentity(service.url, by_password) as client:
            assert await client.api_keys.list().collect() == []
        await store.write(access.access_token)
        async with agentity(service.url, StoredToken(places[kind])) as client:
            assert await client.api_keys.list().collect() == []
        await store.write(Secret(service.agentry_token))
        async with agentry(service.url, StoredToken(Secret(places[kind]))) as client:
            assert await client.api_keys.list().collect() == []


async def test_nothing_is_read_before_it_is_needed():
    """Not by whoever makes a client, nor by a call that has a token."""
    async with LocalService() as service:
        password, token = Holding(service.password), Holding(service.agentry_token)
        by_password = PasswordLogin(service.email, password_from=password)
        async with (
            agentity(service.url, by_password) as one,
            agentry(service.url, StoredToken(token)) as other,
        ):
            assert (password.reads, token.reads) == (0, 0)
            for _ in range(3):
                await one.api_keys.list().collect()
                await other.api_keys.list().collect()
    assert (password.reads, token.reads) == (1, 1)


async def test_a_refresh_needs_no_password():
    """Only a login does: the store is read for each one."""
    service, store = Service(), Holding("one")
    async with Wire(service) as wire, agentity(wire.url, login(store)) as client:
        await client.api_keys.list().collect()
        service.token = "ended"
        await client.api_keys.list().collect()
        assert (targets(wire), store.reads) == ([LOGIN, KEYS, KEYS, REFRESH, KEYS], 1)
        service.token, service.refreshes = "ended", False
        service.password, store.held = "two", ["two"]
        await client.api_keys.list().collect()
    assert targets(wire)[5:] == [KEYS, REFRESH, LOGIN, KEYS]
    assert store.reads == 2


@pytest.mark.parametrize("loops", [1, 2])
@pytest.mark.parametrize("kind", ["password", "token"])
async def test_many_calls_read_once(kind, loops):
    """However many calls wait, in however many loops, one read is in flight."""
    service = Service()
    async with Wire(service) as wire:
        service.token = jwt("0")
        store = Holding("one" if kind == "password" else service.token)
        client = agentity(wire.url, login(store) if kind == "password" else StoredToken(store))
        together = threading.Barrier(loops)

        async def work() -> None:
            await asyncio.to_thread(together.wait)
            await asyncio.gather(*(client.api_keys.list().collect() for _ in range(50)))

        await asyncio.gather(*(asyncio.to_thread(asyncio.run, work()) for _ in range(loops)))
    assert (store.reads, store.most_at_once) == (1, 1)
    assert targets(wire).count(KEYS) == 50 * loops


async def test_many_refused_calls_read_once_more():
    """All calls that meet a 401 share one read, and each is sent once more."""
    service = Service()
    service.token = "old"
    store = Holding("old", "new")
    async with Wire(service) as wire, agentity(wire.url, StoredToken(store)) as client:
        await client.api_keys.list().collect()
        service.token = "new"
        await asyncio.gather(*(client.api_keys.list().collect() for _ in range(50)))
    assert (store.reads, store.most_at_once) == (2, 1)


async def test_a_token_that_is_still_there_is_not_sent_again():
    """Its refusal is reported at once, and the next call reads the store anew."""
    service = Service()
    service.token, store = "right", Holding("wrong", "wrong", "wrong", "right")
    async with Wire(service) as wire, agentity(wire.url, StoredToken(store)) as client:
        for calls, call in enumerate((listing(client), create(client), listing(client)), 1):
            with pytest.raises(AuthenticationError, match="no such token") as raised:
                await call()
            assert (raised.value.applied, raised.value.attempts) == ("no", 1)
            assert (len(wire.requests), store.reads) == (calls, calls)
        assert await client.api_keys.list().collect() == []
        assert (len(wire.requests), store.reads) == (5, 4)


def listing(client: Any) -> Any:
    return lambda: client.api_keys.list().collect()


def create(client: Any) -> Any:
    return lambda: client.api_keys.create("x")


async def test_a_create_goes_on_with_the_new_token():
    """A 401 says that nothing was made."""
    service = Service()
    service.token, store = "old", Holding("old", "new")
    async with Wire(service) as wire, agentity(wire.url, StoredToken(store)) as client:
        await client.api_keys.list().collect()
        service.token = "new"
        assert (await client.api_keys.create("x")).nickname == NEW_KEY["nickname"]
    assert ([seen.method for seen in wire.requests], store.reads) == (["GET", "POST", "POST"], 2)


@pytest.mark.parametrize("wall_clock_is_off_by", [0, 3600, -3600])
async def test_a_stored_jwt_is_read_again_when_its_lifetime_ends(wall_clock_is_off_by):
    """Counted on the monotonic clock from the read; until then the store is left alone."""
    service, now = Service(), int(time.time()) + wall_clock_is_off_by
    service.token = jwt("1", iat=now, exp=now + 900)
    store = Holding(service.token)
    async with Wire(service) as wire, agentity(wire.url, StoredToken(store)) as client:
        for _ in range(3):
            await client.api_keys.list().collect()
        assert store.reads == 1
        # A lifetime that is over before the next call can be made.
        service.token = jwt("2", iat=1000.0, exp=1000.000001)
        store.held = [service.token]
        for _ in range(3):
            await client.api_keys.list().collect()
    assert store.reads == 4
    assert targets(wire) == [KEYS] * 7  # and one 401, for the first token


async def test_another_password_is_tried_once():
    """One that was replaced in the store while it was on its way."""
    service, store = Service("two"), Holding("one", "two")
    async with Wire(service) as wire, agentity(wire.url, login(store)) as client:
        await client.api_keys.list().collect()
    assert (targets(wire), store.reads) == ([LOGIN, LOGIN, KEYS], 2)


async def test_another_password_at_the_real_service():
    """The local one refuses the first."""
    async with LocalService() as service:
        store = Holding("wrong", service.password)
        by_password = PasswordLogin(service.email, password_from=store)
        async with agentity(service.url, by_password) as client:
            assert await client.api_keys.list().collect() == []
        assert [seen.status for seen in service.requests] == [401, 200, 200]


@pytest.mark.parametrize(
    ("held", "logins"), [(["bad"], 1), (["bad", "worse", "one"], 2)], ids=["same", "other"]
)
async def test_a_password_that_is_refused_is_reported(held, logins):
    """The same one is not sent again, and a third one is not tried."""
    store = Holding(*held)
    async with Wire(Service()) as wire, agentity(wire.url, login(store)) as client:
        with pytest.raises(AuthenticationError, match="wrong email or password") as raised:
            await client.api_keys.create("x")
    assert (targets(wire), store.reads) == ([LOGIN] * logins, 2)
    assert (raised.value.path, raised.value.applied) == (LOGIN, "no")


async def test_many_calls_share_a_refused_login():
    """Fifty calls, two reads, and an error for each."""
    store = Holding("bad")
    async with Wire(Service()) as wire, agentity(wire.url, login(store)) as client:
        calls = (client.api_keys.list().collect() for _ in range(50))
        errors = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in errors} == {AuthenticationError}
    assert len({id(error) for error in errors}) == 50
    assert (targets(wire), store.reads) == ([LOGIN], 2)
