"""A create that is cancelled leaves no key that nobody holds."""

from __future__ import annotations

import asyncio
import logging

import pytest
from samples import NEW_INBOX_KEY, NEW_KEY, agentity, agentry
from wire import Wire, answer, close, hang

from agentkeys import PasswordLogin, cancellation, sync
from agentkeys.server import LocalService
from agentkeys.server.faults import CREATES, Delay

CREATED, DELETED = answer(201, NEW_KEY), answer(200, {"message": "gone"})
ENDPOINTS = {
    "agentity": (agentity, lambda client: client.api_keys, NEW_KEY),
    "agentry": (agentry, lambda client: client.inbox("i").api_keys, NEW_INBOX_KEY),
    "agentry, agent": (agentry, lambda client: client.agent.pod("p").api_keys, NEW_INBOX_KEY),
}
endpoints = pytest.mark.parametrize(
    ("make", "keys", "new"), ENDPOINTS.values(), ids=ENDPOINTS.keys()
)


def held(gate: asyncio.Event, then):
    """Answer with *then* once *gate* is open."""

    async def reply(writer):
        await gate.wait()
        await then(writer)

    reply.is_reply = True
    return reply


async def cancelled(call: asyncio.Task) -> None:
    call.cancel()
    await asyncio.sleep(0)


@pytest.mark.asyncio
@endpoints
async def test_the_key_of_a_cancelled_create_is_deleted(make, keys, new, caplog):
    """The answer is waited for, the key is deleted, and then the cancellation goes on."""
    gate = asyncio.Event()
    async with Wire(held(gate, answer(201, new)), DELETED) as wire, make(wire.url) as client:
        call = asyncio.create_task(keys(client).create("ci"))
        await wire.arrived.wait()
        await cancelled(call)
        await cancelled(call)  # more than once is no more than once
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await call
    made, deleted = wire.requests
    assert (made.method, deleted.method) == ("POST", "DELETE")
    assert deleted.target.rpartition("/")[2] == str(new.get("id", new.get("api_key_id")))
    assert caplog.records == []


@pytest.mark.asyncio
async def test_a_create_that_is_not_on_its_way_ends_at_once():
    """While it connects or logs in there is nothing to wait for, and nothing to delete."""
    async with Wire(hang) as wire:
        async with agentity(wire.url, PasswordLogin("me@example.com", "pw")) as client:
            call = asyncio.create_task(client.api_keys.create("ci"))
            await wire.arrived.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(call, cancellation.GRACE / 2)
    assert [seen.target for seen in wire.requests] == ["/auth/token"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "replies",
    [[hang], [close], [answer(201, {"id": 42})], [CREATED, hang], [CREATED, answer(403)]],
    ids=["no answer", "lost", "unreadable", "delete is not answered", "delete is refused"],
)
async def test_a_key_that_may_be_left_is_named_in_one_warning(replies, caplog):
    """If the deletion is not known to have worked, the logger says which key it is about."""
    gate = asyncio.Event()
    first, *more = replies
    first = hang if first is hang else held(gate, first)
    async with Wire(first, *more or [hang]) as wire, agentity(wire.url) as client:
        call = asyncio.create_task(client.api_keys.create("billing-bot", timeout=5))
        await wire.arrived.wait()
        await cancelled(call)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await call
    [record] = caplog.records
    assert (record.name, record.levelno) == ("agentkeys", logging.WARNING)
    assert "'billing-bot'" in record.getMessage()


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [400, 401, 409, 429])
async def test_a_refusal_needs_no_warning_and_no_second_try(status, caplog):
    """The service said that it did not act; nobody waits for another try."""
    gate = asyncio.Event()
    async with Wire(held(gate, answer(status)), CREATED) as wire, agentity(wire.url) as client:
        call = asyncio.create_task(client.api_keys.create("ci"))
        await wire.arrived.wait()
        await cancelled(call)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert len(wire.requests) == 1
    assert caplog.records == []


@pytest.mark.asyncio
async def test_the_wait_ends_with_the_deadline():
    """Two seconds are for calls that had as much left; a shorter deadline is kept."""
    async with Wire(hang) as wire, agentity(wire.url) as client:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        call = asyncio.create_task(client.api_keys.create("ci", timeout=0.5))
        await wire.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert loop.time() - begun < cancellation.GRACE


@pytest.mark.asyncio
async def test_a_timeout_of_the_callers_own_is_a_cancellation():
    """`asyncio.timeout` around a create: TimeoutError, and no key is left."""
    async with LocalService() as service, agentry(service.url, service.agentry_token) as client:
        keys = client.inbox(service.inbox_id).api_keys
        service.faults.add(CREATES, Delay(0.5), when="after")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await keys.create("ci")
        assert await keys.list().collect() == []


def test_the_end_of_the_loop_leaves_no_key():
    """`asyncio.run` cancels the tasks that are left, and waits for what they do about it."""
    with sync.LocalService() as service:
        service.faults.add(CREATES, Delay(0.3), when="after")

        async def main() -> asyncio.Task:
            client = agentry(service.url, service.agentry_token)
            task = asyncio.create_task(client.inbox(service.inbox_id).api_keys.create("ci"))
            await asyncio.to_thread(service.requests.wait, 1)
            return task

        assert asyncio.run(main()).cancelled()
        with sync.AgentryClient(service.agentry_token, base_url=service.url) as client:
            assert client.inbox(service.inbox_id).api_keys.list().collect() == []
        assert [seen.method for seen in service.requests] == ["POST", "DELETE", "GET"]
