"""A key that lives for as long as a block of code runs."""

from __future__ import annotations

import asyncio
import logging

import pytest
from chaos import SERVICES, client_of, keys_of, place_at
from programs import Program

from agentkeys import (
    InvalidArgumentError,
    OrphanKeyError,
    RetryPolicy,
    TransportError,
    lease,
    status,
    sweep,
    sync,
)
from agentkeys.server.faults import CREATES, DELETES, Answer, MalformedJson, NeverAnswer, Reset

either = pytest.mark.parametrize("which", SERVICES)


async def names(place):
    return [key.name.partition("~")[0] for key in await place.keys.list().collect()]


@either
@pytest.mark.asyncio
async def test_the_key_lives_for_as_long_as_the_block(which):
    """It works in the block; after the block it is gone, and nothing is left in the journal."""
    async with place_at(which) as place:
        async with lease(place.keys, "worker-7") as new:
            assert new.name.startswith("worker-7~")
            assert await names(place) == ["worker-7"]
            assert await place.service.is_live(new.secret)
            [known] = (await status(place.keys)).under_way
            assert (known.state, known.key_id, known.store) == ("leased", new.id, "")
        assert await names(place) == []
        assert (await status()).under_way == ()


@either
@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
@pytest.mark.asyncio
async def test_a_block_that_fails_ends_the_lease(which, error):
    """Its own error goes on."""
    async with place_at(which) as place:
        with pytest.raises(error):
            async with lease(place.keys, "worker-7"):
                raise error
        assert await names(place) == []


@either
@pytest.mark.asyncio
async def test_a_lease_is_left_alone_by_a_sweep(which):
    """Whoever holds it lives."""
    async with place_at(which) as place:
        async with lease(place.keys, "worker-7") as new:
            assert (await sweep(place.keys)).deleted == ()
            assert [key.id for key in await place.keys.list().collect()] == [new.id]


@either
@pytest.mark.parametrize("fault", [Reset(), MalformedJson(), Answer(503)], ids=repr)
@pytest.mark.asyncio
async def test_a_lost_answer_leaves_one_key(which, fault):
    """The one that was made before is found by its nonce, and deleted."""
    async with place_at(which) as place:
        place.service.faults.add(CREATES, fault, when="after")
        async with lease(place.keys, "worker-7"):
            assert await names(place) == ["worker-7"]
        assert await names(place) == []


@either
@pytest.mark.asyncio
async def test_a_lease_that_is_cancelled_while_its_key_is_made_leaves_none(which):
    """The answer is heard, and the key is deleted again."""
    async with place_at(which) as place:
        fault = place.service.faults.add(CREATES, NeverAnswer(), when="after")
        waiting = asyncio.ensure_future(lease(place.keys, "worker-7").__aenter__())
        await fault.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await sweep(place.keys)
        assert await names(place) == []


@either
@pytest.mark.asyncio
async def test_a_key_that_cannot_be_deleted_is_an_orphan(which):
    """The error names it, and a sweep deletes it later."""
    async with place_at(which) as place:
        with pytest.raises(OrphanKeyError, match="was not deleted") as raised:
            async with lease(place.keys, "worker-7") as new:
                place.service.faults.add(DELETES, Answer(403), times="always")
        assert raised.value.key_id == new.id
        place.service.faults.clear()
        assert (await sweep(place.keys)).deleted == (new.id,)
        assert await names(place) == []


@either
@pytest.mark.asyncio
async def test_the_error_of_a_block_is_not_replaced(which, caplog):
    """The logger names the key that could not be deleted."""
    async with place_at(which) as place:
        place.service.faults.add(DELETES, Answer(403), times="always")
        with pytest.raises(ZeroDivisionError):
            async with lease(place.keys, "worker-7"):
                raise ZeroDivisionError
    warned = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert any("was not deleted" in each for each in warned)


@either
@pytest.mark.asyncio
async def test_a_key_that_somebody_else_deleted_ends_the_lease(which):
    """There is nothing left to do."""
    async with place_at(which) as place:
        async with lease(place.keys, "worker-7") as new:
            await place.keys.delete(new.id)
        assert (await status()).under_way == ()


@either
@pytest.mark.asyncio
async def test_a_lease_is_begun_once(which):
    """Each key has a lease of its own; what cannot be right is refused before that."""
    async with place_at(which) as place:
        once = lease(place.keys, "worker-7")
        async with once:
            with pytest.raises(InvalidArgumentError, match="was already used"):
                await once.__aenter__()
        with pytest.raises(InvalidArgumentError):
            lease(place.keys, "")
        with pytest.raises(InvalidArgumentError, match="does not accept these arguments"):
            lease(place.keys, "worker-7", colour="red")


class Away:
    url, agentry_token = "http://127.0.0.1:1", "token"


@pytest.mark.asyncio
async def test_a_service_that_is_away_leaves_nothing():
    """Its error is raised where the block would begin."""
    async with client_of(Away(), "agentry", retry=RetryPolicy(tries=1)) as client:
        with pytest.raises(TransportError):
            await lease(client.api_keys, "worker-7").__aenter__()
    assert (await status()).under_way == ()


def interrupted(keys):
    with sync.lease(keys, "worker-7"):
        assert [key.name.partition("~")[0] for key in keys.list()] == ["worker-7"]
        raise KeyboardInterrupt


@either
def test_a_blocking_client_leases(which):
    """The same without `async`; Ctrl-C in the block ends it, too."""
    kind = sync.AgentityClient if which == "agentity" else sync.AgentryClient
    with sync.LocalService() as service:
        twin = client_of(service, which)
        with kind(twin._session._credentials, base_url=service.url) as client:
            keys = keys_of(service, client)
            with pytest.raises(KeyboardInterrupt):
                interrupted(keys)
            assert list(keys.list()) == []


PROGRAM = """
    import asyncio, sys
    from agentkeys import AgentryClient, lease

    async def main(url, token, inbox):
        async with AgentryClient(token, base_url=url) as client:
            async with lease(client.inbox(inbox).api_keys, "worker-7"):
                print("leased", flush=True)
                await asyncio.get_running_loop().create_future()

    asyncio.run(main(*sys.stdin.readline().split()))
"""


def test_a_process_that_dies_is_finished_by_a_sweep():
    """The sweep finds the key by its nonce: no store can hold its secret."""
    with sync.LocalService() as service:
        with sync.AgentryClient(service.agentry_token, base_url=service.url) as client:
            keys = client.inbox(service.inbox_id).api_keys
            program = Program(PROGRAM)
            program.tell(f"{service.url} {service.agentry_token} {service.inbox_id}")
            assert program.read() == "leased"
            [key] = keys.list()
            assert sync.sweep(keys).deleted == ()
            program.kill()
            assert sync.sweep(keys).deleted == (key.id,)
            assert list(keys.list()) == []
