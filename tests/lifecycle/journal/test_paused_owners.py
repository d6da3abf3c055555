"""Owners who are paused in the worst moment, while somebody else takes their entry over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from chaos import BASE, client_of, keys_of

from agentkeys import JournalError, Secret, Swept, issue, rotate, status, sweep
from agentkeys.lifecycle.journal.postgres import PostgresJournal
from agentkeys.server import LocalService
from agentkeys.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.asyncio


class Place:
    """Keys of a service, the journal of one machine, and that of another one."""

    def __init__(self, keys: Any, service: Any, address: str, sql: Callable[[str], Any]) -> None:
        self.keys = keys
        self.service = service
        self.journal = PostgresJournal(Secret(address))
        self.other = PostgresJournal(Secret(address))
        self._sql = sql

    async def swept_elsewhere(self) -> Swept:
        """Let the lease of whoever works be over, as if he were suspended, and sweep elsewhere."""
        while True:  # the owner, who is not really suspended, may have prolonged it in between
            self._sql("UPDATE agentkeys.entries SET until = clock_timestamp() WHERE NOT kept")
            swept = await sweep(self.keys, journal=self.other)
            if swept != Swept():
                return swept

    async def names(self) -> list[str]:
        return [key.name async for key in self.keys.list()]


class PausedStore(MemoryStore):
    """A store whose writer is paused directly before or after it is written."""

    def __init__(self, place: Place, *, before: bool) -> None:
        super().__init__(f"paused-{id(self)}")
        self._place = place
        self._before = before
        self.swept: list[Swept] = []

    async def write_noted(self, secret: Secret, *, expected: Any, note: Any) -> Any:
        loop = asyncio.get_running_loop()

        def noting(found: object) -> None:
            note(found)
            sweeping = self._place.swept_elsewhere()
            self.swept.append(asyncio.run_coroutine_threadsafe(sweeping, loop).result(30))

        if self._before:
            return await super().write_noted(secret, expected=expected, note=noting)
        version = await super().write_noted(secret, expected=expected, note=note)
        self.swept.append(await self._place.swept_elsewhere())
        return version


@pytest_asyncio.fixture
async def place(postgres, database) -> AsyncIterator[Place]:
    name = database.rpartition("/")[2]
    async with LocalService() as service, client_of(service, "agentry") as client:
        keys = keys_of(service, client)
        yield Place(keys, service, database, lambda statement: postgres.run(statement, name))


async def test_who_stores_a_secret_whose_key_is_gone_takes_it_out_again(place):
    """Somebody has seen that the store lacks it, and has deleted the key."""
    store = PausedStore(place, before=True)
    with pytest.raises(JournalError, match=r"taken over the entry .* was taken out of") as caught:
        await issue(place.keys, BASE, into=store, journal=place.journal)
    [swept] = store.swept
    assert len(swept.deleted) == 1
    assert (await store.read()).secret is None
    assert await place.names() == []
    assert "agentkeys status" in str(caught.value)
    found = await status(journal=place.other)
    assert (found.kept, found.under_way) == ((), ())


async def test_who_stores_a_secret_that_is_found_there_has_issued_the_key(place):
    """Somebody has seen it there, and has put the key into the ledger."""
    store = PausedStore(place, before=False)
    issued = await issue(place.keys, BASE, into=store, journal=place.journal)
    [swept] = store.swept
    assert swept.stored == (issued.key.id,)
    secret = (await store.read()).secret
    assert secret is not None
    assert await place.service.is_live(secret)
    [kept] = (await status(journal=place.other)).kept
    assert kept.key_id == issued.key.id


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_a_rotation_whose_owner_was_paused_leaves_a_live_key_in_the_store(place, before):
    """The old one again, or the new one."""
    store = PausedStore(place, before=before)
    plain = MemoryStore(store.address.partition(":")[2])
    old = (await issue(place.keys, BASE, into=plain, journal=place.journal)).key
    secret = (await plain.read()).secret
    if before:
        with pytest.raises(JournalError, match="holds again what it held before"):
            await rotate(place.keys, BASE, into=store, journal=place.journal)
        assert (await store.read()).secret == secret
        assert await place.names() == [old.name]
        [kept] = (await status(journal=place.other)).kept
        assert kept.key_id == old.id
    else:
        rotated = await rotate(place.keys, BASE, into=store, journal=place.journal)
        assert set(await place.names()) == {old.name, rotated.key.name}
        [retiring] = (await status(journal=place.other)).retiring
        assert (retiring.key_id, retiring.retires) == (rotated.key.id, old.id)
    stored = (await store.read()).secret
    assert stored is not None
    assert await place.service.is_live(stored)


async def test_who_was_paused_before_the_store_does_not_touch_it(place):
    """He looks at his lease, and stops."""

    class Slow(MemoryStore):
        async def write_noted(self, secret: Secret, **how: Any) -> Any:
            await place.swept_elsewhere()
            return await super().write_noted(secret, **how)

    store = Slow()
    with pytest.raises(JournalError, match="another process has taken over the entry"):
        await issue(place.keys, BASE, into=store, journal=place.journal)
    assert (await store.read()).secret is None
    assert await place.names() == []
