"""Which request meets which fault, how long that lasts, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from urllib.parse import urlsplit

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


def test_one_that_hangs_can_be_let_go_in_the_next_run():
    """What a fault was in one run, and one loop, does not keep it from being removed in another."""
    service = LocalService()
    fault = service.faults.add(LISTS, NeverAnswer(), times="always")

    async def run(hits):
        async with asyncio.timeout(10), service:
            url = urlsplit(service.url)
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            writer.write(b"GET /human/v0/api-keys HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await fault.wait(hits)
            if hits == 2:
                fault.remove()
                assert await reader.read() == b""
            writer.close()

    for hits in (1, 2):
        asyncio.run(run(hits))


@pytest.mark.asyncio
async def test_any_thread_may_add_and_remove(api):
    """A fault that is removed elsewhere lets go of what waits at it."""
    fault = api.service.faults.add(LISTS, Delay(math.inf))
    waiting = asyncio.create_task(listing(api))
    await fault.wait()
    # Now the loop says so if another thread does what only its own may do.
    asyncio.get_running_loop().set_debug(True)
    thread = threading.Thread(target=fault.remove)
    thread.start()
    async with asyncio.timeout(10):
        assert (await waiting).status == 200
    thread.join()


@pytest.mark.asyncio
async def test_clearing_lets_go_too(api):
    """Nothing waits at a fault that is no more."""
    fault = api.service.faults.add(LISTS, Delay(math.inf))
    waiting = asyncio.create_task(listing(api))
    await fault.wait()
    api.service.faults.clear()
    async with asyncio.timeout(10):
        assert (await waiting).status == 200


@pytest.mark.asyncio
async def test_a_fault_that_is_removed_while_a_request_comes_holds_nothing_back(api):
    """The head has met it; when the body is there, it is gone."""
    fault = api.service.faults.add(CREATES, Delay(math.inf))
    head = f"POST {api.tenant} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n"
    head += f"Authorization: Bearer {api.service.agentry_token}\r\n\r\n"
    async with asyncio.timeout(10), api.connection() as (reader, writer):
        writer.write(head.encode())
        await fault.wait()
        fault.remove()
        writer.write(b'{"name":"a"}')
        assert (await reader.readline()).startswith(b"HTTP/1.1 201")


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
    head = f"GET {api.tenant} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}"
    writer.write(f"{head}\r\n\r\n".encode())
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


@pytest.mark.asyncio
async def test_what_would_be_held_back_once_it_closes_is_not_begun(api_of):
    """A request that was under way meets its fault, and delays the end no longer than itself."""
    taken, go = asyncio.Event(), asyncio.Event()

    @web.middleware
    async def wait(request, handler):
        taken.set()
        await go.wait()
        return await handler(request)

    async with LocalService(middlewares=[wait]) as service:
        fault = service.faults.add(LISTS, HugeBody(), when="after")
        holding = asyncio.create_task(hold(api_of(service), fault))
        await taken.wait()
        closing = asyncio.create_task(service.close())
        await asyncio.sleep(0)
        start = time.perf_counter()
        go.set()
        await closing
        assert time.perf_counter() - start < 1
        assert fault.hits == 1
        (await holding)[1].close()


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
@pytest.mark.parametrize("early", [True, False])
async def test_a_client_that_has_gone_already_is_not_waited_for(api_of, caplog, early):
    """Its connection ended while the service acted: a delay of the answer is over at once."""

    @web.middleware
    async def hang_up(request, handler):
        is_create = request.method == "POST"
        if is_create and early:
            request.protocol.force_close()
        answer = await handler(request)
        if is_create:
            request.protocol.force_close()
        return answer

    async with LocalService(middlewares=[hang_up]) as service:
        api = api_of(service)
        await listing(api)
        before = len(asyncio.all_tasks())
        fault = service.faults.add(CREATES, Delay(math.inf), when="after")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await api.create()
        await fault.wait()
        async with asyncio.timeout(10):
            while len(asyncio.all_tasks()) > before:
                await listing(api)
    assert caplog.records == []


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
