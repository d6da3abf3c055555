"""Which request meets which fault, how long that lasts, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time

import aiohttp
import pytest
from aiohttp import web

from agentkeys.server import LocalService
from agentkeys.server.faults import (
    CREATES,
    DELETES,
    LISTS,
    Answer,
    Delay,
    HugeBody,
    NeverAnswer,
    Trickle,
)

TENANT_LIST = "GET /human/v0/api-keys"


async def listing(api, path=None):
    return await api.send("GET", path or api.tenant, token=api.service.agentry_token)


async def statuses(api, count):
    return [(await listing(api)).status for _ in range(count)]


@pytest.mark.asyncio
async def test_faults_on_a_route_are_met_in_order_and_each_so_often(api):
    """First come, first met; when all are used up, the service is as it was."""
    first = api.service.faults.add(TENANT_LIST, Answer(500), times=2)
    second = api.service.faults.add(LISTS, Answer(502))
    assert await statuses(api, 4) == [500, 500, 502, 200]
    assert (first.hits, second.hits) == (2, 1)
    assert list(api.service.faults) == [first, second]


@pytest.mark.asyncio
async def test_a_fault_can_be_for_always(api):
    """Then it ends only when it is removed."""
    fault = api.service.faults.add(LISTS, Answer(500), times="always")
    assert await statuses(api, 5) == [500] * 5
    fault.remove()
    assert await statuses(api, 1) == [200]


@pytest.mark.asyncio
async def test_a_fault_is_on_its_routes_alone(api):
    """Another route, or another method, does not meet it; nor does an address that is none."""
    api.service.faults.add("POST /human/v0/api-keys", Answer(500), times="always")
    assert (await api.create(api.inbox))["name"] == "a key"
    assert await statuses(api, 1) == [200]
    assert (await listing(api, "/nowhere")).status == 404
    assert (await api.send("POST", api.tenant)).status == 500


@pytest.mark.asyncio
async def test_faults_end_with_their_block_or_all_at_once(api):
    """`with` removes one; `clear` removes all."""
    with api.service.faults.add(LISTS, Answer(500), times="always"):
        assert await statuses(api, 1) == [500]
    assert await statuses(api, 1) == [200]
    for status in (500, 502):
        api.service.faults.add(LISTS, Answer(status))
    api.service.faults.clear()
    assert await statuses(api, 1) == [200]
    assert list(api.service.faults) == []


@pytest.mark.asyncio
async def test_what_is_refused_is_not_acted_on_and_does_not_use_a_fault_up(api):
    """A client whose token has ended first meets a 401, and then, after its renewal, the fault."""
    fault = api.service.faults.add(LISTS, Answer(500), when="after")
    assert (await api.send("GET", api.tenant, token="wrong")).status == 401
    assert fault.hits == 0
    assert await statuses(api, 2) == [500, 200]


@pytest.mark.asyncio
async def test_what_comes_before_does_not_look_at_the_request(api):
    """The fault is met by a request that would be refused, too, if it is one at all."""
    api.service.faults.add(LISTS, Answer(418), times=2)
    assert (await api.send("GET", api.tenant, token="wrong")).status == 418
    assert (await api.send("GET", api.tenant, data=b"x" * 100_000)).status == 418


@pytest.mark.asyncio
async def test_two_at_once_meet_two_faults(api):
    """Each is met once, by whichever request is done first."""
    for status in (500, 502):
        api.service.faults.add(LISTS, Answer(status), when="after")
    answers = await asyncio.gather(*(listing(api) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 500, 502]


@pytest.mark.asyncio
async def test_a_request_that_was_acted_on_is_past_every_fault_before(api_of):
    """One that comes too late for a fault after the commit does not meet the next one."""
    both = asyncio.Barrier(2)

    @web.middleware
    async def meet(request, handler):
        answer = await handler(request)
        await both.wait()
        return answer

    async with LocalService(middlewares=[meet]) as service:
        api = api_of(service)
        service.faults.add(LISTS, Answer(500), when="after")
        before = service.faults.add(LISTS, Answer(502))
        answers = await asyncio.gather(listing(api), listing(api))
        assert sorted(answer.status for answer in answers) == [200, 500]
        assert before.hits == 0
        assert await statuses(api, 1) == [502]


@pytest.mark.asyncio
async def test_one_can_wait_until_a_fault_was_met(api):
    """It returns at the hit, at once if that has been, and gives up with a sentence if not."""
    fault = api.service.faults.add(LISTS, Answer(500), times=3)
    waiting = [asyncio.create_task(fault.wait(hits)) for hits in (1, 2)]
    await statuses(api, 1)
    await waiting[0]
    assert not waiting[1].done()
    await statuses(api, 1)
    await waiting[1]
    await fault.wait(2)
    with pytest.raises(TimeoutError, match=r"<Fault Answer\(status=500\).*: 2 after 0.001 seconds"):
        await fault.wait(3, timeout=0.001)


@pytest.mark.asyncio
async def test_faults_can_be_added_before_the_start_and_stay_for_the_next(api_of):
    """They belong to the service, and not to one run of it."""
    service = LocalService()
    service.faults.add(LISTS, Answer(500), times=2)
    for expected in (500, 500, 200):
        async with service:
            assert await statuses(api_of(service), 1) == [expected]


@pytest.mark.asyncio
async def test_one_that_hangs_can_be_let_go_in_the_next_run(api_of):
    """What a fault was in one run does not keep it from being removed in another."""
    service = LocalService()
    fault = service.faults.add(CREATES, NeverAnswer(), times="always")
    for hits in (1, 2):
        async with service:
            hanging = asyncio.create_task(api_of(service).create())
            await fault.wait(hits)
            if hits == 2:
                fault.remove()
                with pytest.raises(aiohttp.ServerDisconnectedError):
                    await hanging
        await asyncio.wait([hanging])
    assert isinstance(hanging.exception(), aiohttp.ServerDisconnectedError)


@pytest.mark.asyncio
async def test_any_thread_may_add_and_remove(api):
    """A fault that is removed elsewhere lets go of what waits at it."""
    fault = api.service.faults.add(LISTS, Delay(math.inf))
    waiting = asyncio.create_task(listing(api))
    await fault.wait()
    thread = threading.Thread(target=fault.remove)
    thread.start()
    assert (await waiting).status == 200
    thread.join()


@pytest.mark.asyncio
async def test_a_middleware_of_the_users_is_inside(api_of):
    """Its answers are spoiled like the service's own; one that it has sent already is not."""
    seen = []

    @web.middleware
    async def middle(request, handler):
        seen.append(request.method)
        if request.method == "DELETE":
            sent = web.StreamResponse()
            await sent.prepare(request)
            return sent
        return await handler(request)

    async with LocalService(middlewares=[middle]) as service:
        api = api_of(service)
        service.faults.add(LISTS, Answer(500))
        service.faults.add(LISTS | DELETES, Answer(502), when="after", times=2)
        assert await statuses(api, 2) == [500, 502]
        assert (await api.send("DELETE", f"{api.tenant}/x")).status == 200
        assert seen == ["GET", "DELETE"]


HELD = [NeverAnswer(), Delay(3600), Delay(math.inf), Trickle(3600), HugeBody()]
held = pytest.mark.parametrize("kind", HELD, ids=repr)


async def hold(api, fault):
    """Send a list request by hand, and do not read its answer."""
    reader, writer = await asyncio.open_connection(*api.address, limit=1024)
    token = api.service.agentry_token
    writer.write(
        f"GET {api.tenant} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    await fault.wait()
    return reader, writer


@held
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.asyncio
async def test_closing_ends_at_once_what_is_held_back(api, kind, when):
    """It takes none of the shutdown timeout, and the client sees the end of its connection."""
    fault = api.service.faults.add(LISTS, kind, when=when)
    reader, writer = await hold(api, fault)
    start = time.perf_counter()
    await api.service.close()
    assert time.perf_counter() - start < 1
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.asyncio
async def test_a_delay_that_closing_cuts_short_is_no_answer_and_no_act(api_of, tmp_path, when):
    """Before the commit, nothing was done; after it, it was."""
    async with LocalService(database=f"sqlite:///{tmp_path}/keys.db") as service:
        fault = service.faults.add(CREATES, Delay(math.inf), when=when)
        creating = asyncio.create_task(api_of(service).create())
        await fault.wait()
        await service.close()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await creating
        assert service.requests[-1].status is None
        service.faults.clear()
        await service.start()
        assert len(await api_of(service).ids()) == (when == "after")


@held
@pytest.mark.asyncio
async def test_a_client_that_goes_away_ends_what_is_held_back(api, kind):
    """No task stays for an answer that nobody waits for."""
    await listing(api)
    before = len(asyncio.all_tasks())
    fault = api.service.faults.add(LISTS, kind, when="after")
    _, writer = await hold(api, fault)
    assert len(asyncio.all_tasks()) > before
    writer.transport.abort()
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > before:
            await listing(api)


@pytest.mark.asyncio
async def test_a_service_may_commit_when_its_client_has_long_gone(api):
    """A delay before the commit is no reason not to act: the key is made, late."""
    fault = api.service.faults.add(CREATES, Delay(math.inf))
    creating = asyncio.create_task(api.create())
    await fault.wait()
    creating.cancel()
    await asyncio.wait([creating])
    assert await api.ids() == []
    fault.remove()
    async with asyncio.timeout(10):
        while not await api.ids():
            pass
