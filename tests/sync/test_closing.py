"""Closing ends the calls, then the connections, then the thread; forgetting does so by itself."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from samples import INBOX_KEY, KEY
from wire import answer, hang

from agentkeys import ClientClosedError
from agentkeys.sync import AgentityClient, AgentryClient
from agentkeys.sync.portal import Portal, _Call

pytestmark = pytest.mark.slow

LISTING = answer(200, {"apiKeys": [KEY]})
PATIENCE = 20.0


def thread_of(client) -> threading.Thread:
    return client._portal._worker._thread


def page(number: int, token: str | None):
    keys = [{**INBOX_KEY, "api_key_id": f"key_{number}"}]
    return answer(200, {"api_keys": keys, "next_page_token": token})


def test_closing_ends_the_thread_and_the_connections(wire, agentity, background):
    """Nothing of the client runs when `close` returns, and the server has seen it go."""
    server = wire(LISTING)
    client = agentity(server.url)
    client.api_keys.list().collect()
    thread = thread_of(client)
    client.close()
    assert not thread.is_alive()
    background.wait(server.disconnected)


def test_closing_ends_a_call_in_another_thread(wire, agentity, background):
    """It is a `ClientClosedError`, and not a lost connection; the service may have acted."""
    server = wire(hang)
    client = agentity(server.url)
    with ThreadPoolExecutor() as pool:
        call = pool.submit(client.api_keys.create, "x")
        background.wait(server.arrived)
        client.close()
        with pytest.raises(ClientClosedError) as caught:
            call.result(PATIENCE)
    assert caught.value.applied == "maybe"


def test_use_after_close_is_refused_and_closing_twice_is_fine(wire, agentity):
    """With a sentence, and nothing is sent: calls, listings, half-read listings."""
    server = wire(page(1, "b"), page(2, "c"))
    client = agentity(server.url)
    with client:
        pass
    client.close()
    for call in (
        partial(client.api_keys.create, "x"),
        partial(client.api_keys.delete, 1),
        client.api_keys.list().collect,
        client.api_keys.list().first,
        partial(list, client.api_keys.list()),
    ):
        with pytest.raises(ClientClosedError, match="closed") as caught:
            call()
        assert caught.value.applied == "no"
    assert server.requests == []


def test_a_half_read_listing_ends_with_an_error_when_its_client_is_closed(wire, agentry):
    """It does not look as if there were no more."""
    client = agentry(wire(page(1, "b"), page(2, "c"), page(3, None)).url)
    listing = iter(client.api_keys.list())
    assert [next(listing).id, next(listing).id] == ["key_1", "key_2"]
    client.close()
    with pytest.raises(ClientClosedError):
        next(listing)


def test_a_client_that_is_dropped_ends_its_thread(wire, background):
    """So it is with one that nobody closed."""
    server = wire(LISTING)
    client = AgentityClient("token", base_url=server.url)
    client.api_keys.list().collect()
    thread = thread_of(client)
    del client
    gc.collect()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    background.wait(server.disconnected)


def test_a_listing_goes_on_when_its_client_is_dropped(wire):
    """It holds what it needs, and the thread ends with it."""
    url = wire(page(1, "b"), page(2, None)).url
    listing = iter(AgentryClient("token", base_url=url).api_keys.list())
    first = next(listing)
    gc.collect()
    assert [first.id, *(key.id for key in listing)] == ["key_1", "key_2"]
    del listing


def test_an_abandoned_listing_can_be_collected_on_the_loops_own_thread(wire, agentry, background):
    """There nothing may wait: the page ahead is cancelled, and the client is usable."""
    server = wire(page(1, "b"), page(2, "c"), hang, page(4, None))
    client = agentry(server.url)
    listing = iter(client.api_keys.list())
    held = [listing, next(listing), next(listing)]
    del listing
    background.run(until(lambda: len(server.requests) == 3))

    async def collect() -> str:
        held.clear()
        gc.collect()
        return threading.current_thread().name

    assert client._portal.run(collect) == "agentkeys"
    background.wait(server.disconnected)
    assert [key.id for key in client.api_keys.list()] == ["key_4"]


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110  # it is no event, but a count of requests
        await asyncio.sleep(0)


def test_every_call_that_meets_a_close_comes_to_an_end(wire, agentity):
    """However the two interleave, the call is answered or refused, and never hangs."""
    url = wire(LISTING).url
    for _ in range(30):
        client = agentity(url)
        client.api_keys.list().collect()
        ready = threading.Barrier(5)

        def call_until_it_ends(client=client, ready=ready) -> str:
            ready.wait()
            try:
                while True:
                    client.api_keys.list().collect()
            except ClientClosedError as error:
                return error.applied

        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(call_until_it_ends) for _ in range(4)]
            ready.wait()
            client.close()
            assert {call.result(PATIENCE) for call in calls} <= {"no", "maybe"}


def test_a_call_that_comes_too_late_for_the_loop_is_refused():
    """One that is posted when the loop is about to close is not waited for in vain."""
    posted, go = threading.Event(), threading.Event()

    async def hold_the_end() -> None:
        posted.set()
        while not go.is_set():  # noqa: ASYNC110  # the other thread sets it
            await asyncio.sleep(0)

    portal = Portal(hold_the_end)

    async def nothing() -> None: ...

    portal.run(nothing)
    worker = portal._worker
    worker.stop()
    posted.wait()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(portal.run, nothing)
        while not (worker.waiting or call.done()):
            time.sleep(0)  # it yields to the threads that it waits for
        go.set()
        with pytest.raises(ClientClosedError) as caught:
            call.result(PATIENCE)
    assert caught.value.applied == "no"
    portal.close()


def test_a_call_that_the_loop_never_came_to_is_refused():
    """One that is posted after the loop's last turn, and before its end, is not lost either."""

    async def nothing() -> None: ...

    portal = Portal()
    portal.run(nothing)
    call = _Call(nothing)
    portal._worker.waiting.add(call)  # as `begin_in` does before it posts
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(call.wait)
        portal.close()
        waiting.result(PATIENCE)
    with pytest.raises(ClientClosedError) as caught:
        call.result()
    assert caught.value.applied == "no"


def test_closing_does_not_wait_long_for_what_will_not_end():
    """A clean-up that hangs, and a closing that hangs, get 2 seconds each and no more."""
    stuck = asyncio.Event()
    begun = threading.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.sleep(3600)
        finally:
            if not stuck.is_set():
                stuck.set()
                await asyncio.sleep(3600)

    portal = Portal()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(portal.run, work)
        begun.wait()
        portal.close()
        with pytest.raises(ClientClosedError):
            call.result(PATIENCE)


def test_nothing_is_kept_of_clients_that_are_gone(wire):
    """Fifty clients, used, left and collected: no thread, no portal."""
    url = wire(LISTING).url
    left = weakref.WeakSet()
    threads = []
    for n in range(50):
        client = AgentityClient("token", base_url=url)
        client.api_keys.list().collect()
        left.add(client._portal)
        threads.append(thread_of(client))
        if n % 2:
            client.close()
    del client
    gc.collect()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert len(left) == 0
