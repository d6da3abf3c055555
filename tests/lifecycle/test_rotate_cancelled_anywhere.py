"""A `rotate` that is cancelled at any callback of its loop leaves a store with a live key in it."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from chaos import BASE, client_of, keys_of
from rotating import either
from stepping import SteppingLoop, cancelled_everywhere

from agentkeys import abort, issue, rotate, status, sweep
from agentkeys.server.faults import CREATES, DELETES, Delay, Reset
from agentkeys.stores import open_store
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

# Every so manieth callback, and what goes wrong meanwhile.
EVERY = [
    pytest.param((13, CREATES, Delay(0), "before"), id="some, all is well"),
    pytest.param((1, CREATES, Delay(0), "before"), id="all is well", marks=pytest.mark.long),
    pytest.param((1, CREATES, Reset(), "after"), id="a lost answer", marks=pytest.mark.long),
    pytest.param((1, DELETES, Reset(), "after"), id="a lost deletion", marks=pytest.mark.long),
]


@pytest.fixture
def service() -> Iterator[LocalService]:
    with LocalService() as service:
        yield service


async def then() -> None:
    """Tell somebody, which takes a moment."""
    await asyncio.sleep(0)


async def law(service: LocalService, keys: Any, store: Any, old: Any) -> None:
    """See that the store holds the only key, once the sweeps are quiet."""
    assert service.is_live((await store.read()).secret), "the store holds a dead key"
    for _ in range(3):
        assert (await sweep(keys, then=then, force=True)).unresolved == ()
    secret = (await store.read()).secret
    assert service.is_live(secret), "the store holds a dead key"
    [key] = await keys.list().collect()
    assert (key.id == old.id) == (secret == old.secret)
    found = await status(keys)
    # Those before it were deleted by hand, and nobody has told the ledger.
    assert [each.key_id for each in found.kept if each.store == store.address] == [key.id]
    assert found.retiring == ()
    assert {each.state for each in found.under_way} <= {"asking"}


class Old:
    def __init__(self, key_id: Any, secret: Any) -> None:
        self.id, self.secret = key_id, secret


@either
@pytest.mark.parametrize("does", ["rotate", "abort"])
@pytest.mark.parametrize("case", EVERY)
def test_the_store_holds_a_live_key(service, state, which, does, case):
    """Before the switch the old one, and after it the new one; and no other key is left."""
    step, routes, kind, when = case

    async def attempts():
        for n in count():
            async with client_of(service, which) as client:
                keys, store = keys_of(service, client), open_store(f"memory:{state}-{n}")
                for key in await keys.list().collect():
                    await keys.delete(key.id)
                issued = await issue(keys, BASE, into=store)
                old = Old(issued.key.id, (await store.read()).secret)
                if does == "abort":
                    await rotate(keys, BASE, into=store)
                    call = abort(keys, BASE, secret=old.secret)
                else:
                    call = rotate(keys, BASE, into=store, grace=0, then=then)
                with service.faults.add(routes, kind, when=when):
                    yield client, call
                await law(service, keys, store, old)

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        assert runner.run(cancelled_everywhere(attempts(), step)) >= 20
