"""Law 8: a client works in any loop, and its connections end with the client or with the loop."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading

import aiohttp
import pytest
from samples import agentity
from sockets import sockets
from wire import Wire, answer, reset

from agentkeys import (
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    RetryPolicy,
    TransportError,
)

LISTING = answer(200, {"apiKeys": []})

THREE_RUNS = """
import asyncio, sys
from agentkeys import AgentityClient, AgentryClient, PasswordLogin
from agentkeys.server import LocalService

async def serve(ready, stop):
    async with LocalService() as service:
        ready.set_result((service.url, service.email, service.password))
        await asyncio.wrap_future(stop)

import threading, concurrent.futures
ready, stop = concurrent.futures.Future(), concurrent.futures.Future()
thread = threading.Thread(target=asyncio.run, args=(serve(ready, stop),), daemon=True)
thread.start()
url, email, password = ready.result()
client = AgentityClient(PasswordLogin(email, password), base_url=url)
for name in ("one", "two", "three"):
    asyncio.run(client.api_keys.create(name))
print([key.nickname for key in asyncio.run(client.api_keys.list().collect())])
stop.set_result(None)
thread.join()
"""


def test_three_runs_on_one_client_work_without_a_warning():
    """Three `asyncio.run()`: three answers; -X dev and -W error have nothing to say."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", THREE_RUNS],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert sorted(eval(done.stdout)) == ["one", "three", "two"]  # noqa: S307  # our own words


@pytest.mark.asyncio
async def test_each_loop_has_its_own_connections_and_closes_them():
    """Every `asyncio.run` opens one connection, and none is left when it ends."""
    async with Wire(LISTING) as wire:
        client = agentity(wire.url)

        async def twice() -> int:
            await client.api_keys.list().collect()
            await client.api_keys.list().collect()
            return sockets()

        before = sockets()
        for n in range(3):
            wire.disconnected.clear()
            assert await asyncio.to_thread(asyncio.run, twice()) > before
            await wire.disconnected.wait()
            assert wire.connections == n + 1
        while sockets() > before:  # noqa: ASYNC110  # the server's own ends close a moment later
            await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_closing_closes_the_connections_of_every_loop():
    """`close` in one loop reaches the sessions of the loops in other threads."""
    started, done = threading.Event(), threading.Event()
    async with Wire(LISTING) as wire:
        client = agentity(wire.url)

        async def elsewhere() -> None:
            await client.api_keys.list().collect()
            started.set()
            await asyncio.to_thread(done.wait)
            with pytest.raises(ClientClosedError):
                await client.api_keys.list().collect()

        other = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
        await client.api_keys.list().collect()
        await asyncio.to_thread(started.wait)
        await client.close()
        await wire.disconnected.wait()
        done.set()
        await other


@pytest.mark.asyncio
async def test_a_client_that_is_dropped_closes_its_connections():
    """Forgetting a client leaves no connection and no warning."""
    async with Wire(LISTING) as wire:
        client = agentity(wire.url)
        await client.api_keys.list().collect()
        del client
        gc.collect()
        await wire.disconnected.wait()


@pytest.mark.asyncio
async def test_a_closed_client_refuses_calls():
    """Use after close gets a sentence; closing twice is fine."""
    async with Wire(LISTING) as wire:
        client = agentity(wire.url)
        async with client:
            await client.api_keys.list().collect()
        await client.close()
        for call in (
            client.api_keys.create("x"),
            client.api_keys.delete(1),
            client.api_keys.list().collect(),
        ):
            with pytest.raises(ClientClosedError, match="closed"):
                await call
    assert len(wire.requests) == 1


@pytest.mark.asyncio
async def test_a_session_that_is_lent_is_used_and_never_closed():
    """Whoever made it closes it; and what it is set up for stays in force."""

    async def stamp(request, handler):
        request.headers["X-Theirs"] = "yes"
        return await handler(request)

    async with Wire(LISTING) as wire, aiohttp.ClientSession(middlewares=[stamp]) as lent:
        async with agentity(wire.url, session=lent) as client:
            await client.api_keys.list().collect()
        assert not lent.closed
    assert wire.requests[0].headers["x-theirs"] == "yes"


@pytest.mark.asyncio
async def test_a_lent_session_cannot_weaken_the_laws():
    """Its raise_for_status, its timeout and aiohttp's silent second try do not reach our calls."""
    short = aiohttp.ClientTimeout(total=1e-9)
    async with (
        Wire(answer(401), LISTING, reset) as wire,
        aiohttp.ClientSession(raise_for_status=True, timeout=short) as lent,
    ):
        client = agentity(wire.url, session=lent, retry=RetryPolicy(tries=1))
        with pytest.raises(AuthenticationError):
            await client.api_keys.list().collect()
        await client.api_keys.list().collect()
        with pytest.raises(TransportError):
            await client.api_keys.delete(1)
    assert len(wire.requests) == 3


@pytest.mark.asyncio
async def test_a_lent_session_is_refused_in_another_loop():
    """A session of aiohttp belongs to one loop, and the error says so."""
    async with Wire(LISTING) as wire, aiohttp.ClientSession() as lent:
        client = agentity(wire.url, session=lent)
        with pytest.raises(ConfigurationError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, client.api_keys.list().collect())
    assert wire.requests == []


@pytest.mark.asyncio
async def test_a_lent_session_that_was_closed_is_named():
    """A closed one is no bug of ours, and the error says whose it is."""
    async with Wire(LISTING) as wire:
        async with aiohttp.ClientSession() as lent:
            client = agentity(wire.url, session=lent)
        with pytest.raises(ClientClosedError, match="was given"):
            await client.api_keys.list().collect()


@pytest.mark.asyncio
async def test_a_client_can_be_made_outside_a_loop():
    """Making one touches no loop, no network and no file."""

    def make():
        return agentity("http://127.0.0.1:9")

    client = await asyncio.to_thread(make)
    await client.close()
