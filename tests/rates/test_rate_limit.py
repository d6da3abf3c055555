"""Clients with a rate of their own."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest
from aiohttp import web
from busiest import busiest_second
from samples import agentity, agentry
from wire import Wire, answer

from agentkeys import (
    DeadlineExceededError,
    InvalidArgumentError,
    PasswordLogin,
    RateLimit,
    RateLimitError,
    ServerError,
    TokenPair,
    sync,
)
from agentkeys.rates import NoTurnError
from agentkeys.server import LocalService

LISTING = answer(200, {"apiKeys": []})
NONE_FOR_AGES = 0.001
"""Requests a second: the second one is a quarter of an hour away."""


@pytest.mark.asyncio
async def test_a_call_that_cannot_wait_fails_at_once():
    """Nothing of it is sent; the error says how long the wait would be, and what to do."""
    async with Wire(LISTING) as wire, agentity(wire.url, rate=NONE_FOR_AGES) as client:
        await client.api_keys.list().collect()
        with pytest.raises(DeadlineExceededError) as caught:
            await client.api_keys.list(timeout=600).collect()
    assert len(wire.requests) == 1
    error = caught.value
    assert (error.applied, error.attempts, error.method) == ("no", 0, "GET")
    assert str(error) == (
        "GET /auth/api-keys: not sent: the rate limit of 0.001 requests a second has no turn within"
        " 600 s; the next one is in 1000 s: send fewer requests, or give the call a longer timeout"
    )


@pytest.mark.asyncio
async def test_each_try_takes_a_turn():
    """The second try of a call waits for its turn as well."""
    async with Wire(answer(500), LISTING) as wire, agentity(wire.url, rate=NONE_FOR_AGES) as client:
        with pytest.raises(DeadlineExceededError) as caught:
            await client.api_keys.list().collect()
    assert (caught.value.applied, caught.value.attempts) == ("maybe", 1)
    assert "not sent again: the rate limit" in str(caught.value)


@pytest.mark.asyncio
async def test_a_login_takes_a_turn():
    """So does a refresh, which is a call like it. What failed is the call's own turn."""
    tokens = answer(200, {"accessToken": "a", "refreshToken": "r"})
    async with Wire(tokens, LISTING) as wire:
        login = PasswordLogin("me@example.com", "pw")
        async with agentity(wire.url, login, rate=NONE_FOR_AGES) as client:
            with pytest.raises(DeadlineExceededError) as caught:
                await client.api_keys.create("bot")
    assert [seen.target for seen in wire.requests] == ["/auth/token"]
    assert (caught.value.applied, caught.value.path) == ("no", "/auth/api-keys")


@pytest.mark.asyncio
async def test_a_refresh_takes_a_turn():
    """What failed is the refresh; the call itself was refused, and so not acted on."""
    async with Wire(answer(401)) as wire:
        tokens = TokenPair("an-access-token", "a-refresh-token")
        async with agentity(wire.url, tokens, rate=NONE_FOR_AGES) as client:
            with pytest.raises(DeadlineExceededError, match="has no turn") as caught:
                await client.api_keys.create("bot")
    assert [seen.target for seen in wire.requests] == ["/auth/api-keys"]
    assert (caught.value.applied, caught.value.path) == ("no", "/auth/token/refresh")


@pytest.mark.asyncio
async def test_a_retry_after_holds_up_everybody_who_shares_the_limiter():
    """Another client, of another service, fails at once if it cannot wait for so long."""
    limit = RateLimit(1000)
    async with Wire(answer(429, headers={"Retry-After": "61"})) as wire, Wire(LISTING) as other:
        async with agentity(wire.url, rate=limit) as client, agentry(other.url, rate=limit) as twin:
            with pytest.raises(RateLimitError):
                await client.api_keys.list(timeout=50).collect()
            with pytest.raises(DeadlineExceededError, match=r"the next one is in 6[01]"):
                await twin.api_keys.list(timeout=50).collect()
    assert other.requests == []


@pytest.mark.asyncio
async def test_no_other_answer_holds_anybody_up():
    """A Retry-After of a 503 is for the call that got it."""
    limit = RateLimit(1000)
    busy = answer(503, headers={"Retry-After": "61"})
    async with Wire(busy, LISTING) as wire, agentity(wire.url, rate=limit) as client:
        with pytest.raises(ServerError):
            await client.api_keys.list(timeout=50).collect()
        assert await client.api_keys.list(timeout=50).collect() == []


@pytest.mark.asyncio
async def test_a_call_that_waits_and_is_cancelled_gives_its_turn_back():
    """Whoever comes next waits for one interval, and not for two."""
    limit = RateLimit(NONE_FOR_AGES)
    await limit.take(0)
    waiting = [asyncio.create_task(limit.take(1e9)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(NoTurnError, match=r"the next one is in 4000 s"):
        await limit.take(0)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    with pytest.raises(NoTurnError, match=r"the next one is in 1000 s"):
        await limit.take(0)


@pytest.mark.asyncio
async def test_a_create_that_is_cancelled_while_it_waits_sends_nothing():
    """It does not run on: there is no key that nobody would hold."""
    async with Wire(LISTING) as wire, agentity(wire.url, rate=NONE_FOR_AGES) as client:
        await client.api_keys.list().collect()
        creating = asyncio.create_task(client.api_keys.create("bot", timeout=1e6))
        await asyncio.sleep(0)
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating
    assert len(wire.requests) == 1


def test_one_limiter_works_in_any_loop_and_thread():
    """Three runs and three threads share the turns, and none of them is given twice."""
    limit = RateLimit(2000)
    left, lock = [], threading.Lock()

    async def some() -> None:
        for _ in range(50):
            await limit.take(10)
            with lock:
                left.append(time.monotonic())

    def three_runs() -> None:
        for _ in range(3):
            asyncio.run(some())

    begun = time.monotonic()
    threads = [threading.Thread(target=three_runs) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(left) == 450
    assert time.monotonic() - begun >= 448 / 2000  # a turn is never too early


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_does_not_wait_behind_the_requests_of_its_parent():
    """None of them leaves in the child. What has left, and a pause, count there as well."""
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "sent\nrefused\n", "")


FORKS = """
import asyncio, os, sys
from agentkeys import RateLimit
from agentkeys.rates import NoTurnError

async def sent(patience):
    try:
        await limit.take(patience)
    except NoTurnError:
        return "refused"
    return "sent"

async def many():
    waiting = [asyncio.ensure_future(limit.take(1000)) for _ in range(100)]
    await asyncio.sleep(0)
    return waiting

limit = RateLimit(5)
loop = asyncio.new_event_loop()
waiting = loop.run_until_complete(many())
if not os.fork():
    print(asyncio.run(sent(1)), flush=True)
    limit.pause(60)
    if not os.fork():
        print(asyncio.run(sent(10)), flush=True)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
for task in waiting:
    task.cancel()
loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
loop.close()
"""


def test_the_blocking_clients_take_it():
    """With the same errors."""
    with sync.LocalService() as service:
        with sync.AgentryClient(
            service.agentry_token, base_url=service.url, rate=NONE_FOR_AGES
        ) as client:
            assert client.api_keys.list().collect() == []
            with pytest.raises(DeadlineExceededError, match="has no turn"):
                client.api_keys.list(timeout=5).collect()


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e9, True, "50", RateLimit])
def test_a_rate_that_cannot_be_is_refused(rate):
    """Before anything is sent."""
    with pytest.raises(InvalidArgumentError, match="rate must be"):
        agentity("http://127.0.0.1:9", rate=rate)


@pytest.mark.parametrize("burst", [0, -1, 1.5, True, 1_000_001, 10**400])
def test_a_burst_that_cannot_be_is_refused(burst):
    """As soon as it is given, and not when a request is sent."""
    with pytest.raises(InvalidArgumentError, match="burst must be"):
        RateLimit(50, burst=burst)
    RateLimit(50, burst=1_000_000)


def test_a_limiter_shows_its_rate_and_cannot_be_copied():
    """A copy would allow twice as much."""
    limit = RateLimit(50)
    assert repr(limit) == "<RateLimit 50 a second>"
    with pytest.raises(TypeError, match="share this one"):
        pickle.dumps(limit)


@pytest.mark.asyncio
async def test_an_error_keeps_nothing_alive():
    """No circle of error, traceback and frame is left for the garbage collector."""
    async with Wire(LISTING) as wire, agentity(wire.url, rate=NONE_FOR_AGES) as client:
        await client.api_keys.list().collect()
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(DeadlineExceededError):
                await client.api_keys.list().collect()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            assert not [each for each in gc.garbage if isinstance(each, DeadlineExceededError)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()


@pytest.mark.slow
@pytest.mark.asyncio
async def test_a_service_sees_no_more_than_the_rate():
    """40 calls of two clients at 20 a second: at most 21 in any second, and not many fewer.

    The service's clock says so. A machine that is busy may deliver one request late and the next
    one in time, so the test grants a tenth of a second of that.
    """
    came: list[float] = []

    @web.middleware
    async def note(request, handler):
        came.append(time.monotonic())
        return await handler(request)

    limit = RateLimit(20)
    async with LocalService(middlewares=[note]) as service:
        clients = [
            agentry(service.url, service.agentry_token, rate=limit),
            agentity(service.url, PasswordLogin(service.email, service.password), rate=limit),
        ]
        async with clients[0], clients[1], asyncio.TaskGroup() as group:
            for client in clients:
                for _ in range(20):
                    group.create_task(client.api_keys.list(timeout=60).collect())
    assert len(came) == 41  # with a login
    assert busiest_second(came) <= 20 + 1 + 2
    assert max(came) - min(came) + 0.1 >= 40 / 20
    assert max(came) - min(came) < 40 / 20 * 3
