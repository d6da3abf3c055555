"""An `issue` that is cancelled at any callback of its loop leaves no key that nobody holds."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from lifecycle import left
from samples import agentry
from stepping import SteppingLoop, cancelled_everywhere

from agentkeys import issue
from agentkeys.server.faults import CREATES, Answer, Delay, HalfBody, Reset
from agentkeys.stores import open_store
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentkeys.stores import Store

pytestmark = pytest.mark.slow

# A key that this leaves may come late, so that the attempt is remembered.
UNCERTAIN = (Answer(503), "before")
NONE = (Delay(0), "before")
FAULTS = [
    NONE,
    (Reset(), "after"),
    *(
        pytest.param(fault, marks=pytest.mark.long)
        for fault in (
            UNCERTAIN,
            (Answer(429, headers={"Retry-After": "0"}), "before"),
            (Answer(503), "after"),
            (HalfBody(), "after"),
        )
    ),
]


@pytest.fixture
def service() -> Iterator[LocalService]:
    with LocalService() as service:
        yield service


async def is_held_by(store: Store, service: LocalService) -> bool:
    """Tell whether the secret in *store* is that of a key."""
    secret = (await store.read()).secret
    if secret is None:
        return False
    async with agentry(service.url, secret) as bearer:
        return await bearer.inbox(service.inbox_id).api_keys.list().first() is not None


def at_every_callback(service: LocalService, state: Path, places: Any, fault: Any) -> int:
    async def attempts():
        for n in count():
            async with agentry(service.url, service.agentry_token) as client:
                keys, store = client.inbox(service.inbox_id).api_keys, open_store(places(n))
                kind, when = fault
                with service.faults.add(CREATES, kind, when=when):
                    yield client, issue(keys, "bot", into=store)
                there = await keys.list().collect()
                assert len(there) == await is_held_by(store, service), "nobody holds the key"
                assert left(state) == [] or fault is UNCERTAIN
                for key in there:
                    await keys.delete(key.id)

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        return runner.run(cancelled_everywhere(attempts()))


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_the_key_is_held_or_there_is_none(service, state, fault):
    """Whatever became of the first answer, the key's secret is stored, or the key is gone."""
    points = at_every_callback(service, state, lambda n: f"memory:{state}-{n}", fault)
    assert points >= 10


def test_the_key_is_held_by_a_store_on_the_disk_or_there_is_none(service, state, tmp_path):
    """Its work is done in threads, which cannot be cancelled."""
    points = at_every_callback(service, state, lambda n: f"dotenv:{tmp_path}/{n}.env#K", NONE)
    assert points >= 10
