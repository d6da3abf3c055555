"""A journal that nobody reaches: each call waits for it as long as the call may take."""

from __future__ import annotations

import time

import pytest
from chaos import place_at
from proxies import Proxy

from agentkeys import DeadlineExceededError, Secret, abort, adopt, audit, sweep
from agentkeys.lifecycle.driving.disk import in_time
from agentkeys.lifecycle.journal.postgres import PostgresJournal
from agentkeys.stores import MemoryStore

pytestmark = pytest.mark.asyncio

SECONDS = 0.5
GRACE = 2.0


async def called(name, keys, key_id, store, **how):
    match name:
        case "adopt":
            return await adopt(keys, key_id, into=store, **how)
        case "abort":
            return await abort(keys, "bot", **how)
        case "audit":
            return await audit(keys, **how)
    return await sweep(keys, **how)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["abort", "adopt", "audit", "sweep"])
async def test_a_call_ends_in_its_own_time(name, postgres, database):
    """And not in the journal's, which is longer; what was sent is undone when it is answered."""
    with Proxy(postgres.port) as proxy:
        address = postgres.address(database.rpartition("/")[2], port=proxy.port)
        journal = PostgresJournal(Secret(address))
        async with place_at("agentry") as place:
            key = await place.keys.create("bot")
            store = MemoryStore()
            await store.write(key.secret)
            assert (await sweep(place.keys, journal=journal)).unresolved == ()
            proxy.break_off()
            begun = time.monotonic()
            with pytest.raises(DeadlineExceededError, match="the journal did not answer") as late:
                await called(name, place.keys, key.id, store, journal=journal, timeout=SECONDS)
            assert SECONDS / 2 < time.monotonic() - begun < SECONDS + GRACE + 1.5
            assert late.value.applied == "no"
            proxy.mend()
            assert (await sweep(place.keys, journal=journal)).unresolved == ()


async def test_work_that_ends_in_time_is_not_undone():
    undone: list[int] = []
    assert await in_time(lambda: 7, 30.0, undo=undone.append) == 7
    assert await in_time(lambda: 8, float("inf"), undo=undone.append) == 8
    assert undone == []
