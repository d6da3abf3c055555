"""Law 3: nothing waits past `timeout`, whatever happens underneath."""

from __future__ import annotations

import asyncio
import math
import time

import pytest
from samples import NEW_KEY, agentity, agentry, jwt
from wire import Wire, answer, hang, raw

from agentkeys import (
    DeadlineExceededError,
    InvalidArgumentError,
    PasswordLogin,
    RetryPolicy,
    TokenPair,
)

pytestmark = pytest.mark.asyncio

TICK = 0.05
PAIR = {"accessToken": jwt(), "refreshToken": "r"}


@pytest.mark.parametrize(
    "trouble",
    [
        hang,
        raw(b"HTTP/1.1 200 OK\r\nContent-", then_close=False),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", then_close=False),
        raw(b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\n\r\n{", then_close=False),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", then_close=False),
        raw(b"HTTP/1.1 100 Continue\r\n\r\n", then_close=False),
    ],
)
@pytest.mark.parametrize("own", [True, False])
async def test_a_call_ends_with_its_timeout(trouble, own):
    """The client's timeout or the call's own bounds every part of an answer."""
    async with Wire(trouble) as wire:
        async with agentity(wire.url, timeout=TICK if own else 60) as client:
            with pytest.raises(DeadlineExceededError, match=f"{TICK} s") as caught:
                await client.api_keys.create("x", timeout=None if own else TICK)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.attempts == 1
    # A slow machine may spend all of it on connecting; never "no" once the service has it.
    assert caught.value.applied == "maybe" or not wire.requests


async def test_a_login_that_hangs_ends_with_the_calls_timeout():
    """The login is part of the call; and the call itself was never sent."""
    async with Wire(hang) as wire:
        login = PasswordLogin("me@example.com", "pw")
        async with agentity(wire.url, login, timeout=60) as client:
            with pytest.raises(DeadlineExceededError) as caught:
                await client.api_keys.create("x", timeout=TICK)
    assert (caught.value.applied, caught.value.attempts) == ("no", 0)
    assert "it was not sent yet" in str(caught.value)
    assert caught.value.path == "/auth/api-keys"


async def test_a_refresh_that_hangs_leaves_time_for_the_login():
    """A refresh that is never answered costs half of the time, not all of it."""
    listing = answer(200, {"apiKeys": []})
    async with Wire(
        answer(200, PAIR), listing, answer(401), hang, answer(200, PAIR), listing
    ) as wire:
        async with agentity(wire.url, PasswordLogin("me@example.com", "pw"), timeout=1) as client:
            await client.api_keys.list().collect()
            await client.api_keys.list().collect()
    assert [seen.target.rpartition("/")[2] for seen in wire.requests[3:]] == [
        "refresh",
        "token",
        "api-keys",
    ]


async def test_a_callback_that_hangs_ends_with_the_calls_timeout():
    """A slow `on_renewal` cannot hold a call longer than it may take."""

    async def never(_: object) -> None:
        await asyncio.Event().wait()

    async with Wire(answer(401), answer(200, PAIR)) as wire:
        async with agentity(wire.url, TokenPair(jwt(), "r", on_renewal=never)) as client:
            with pytest.raises(DeadlineExceededError) as caught:
                await client.api_keys.create("x", timeout=TICK)
    assert caught.value.applied == "no"


async def test_waits_between_tries_are_part_of_it():
    """Tries go on until the deadline, and not beyond."""
    begun = time.monotonic()
    policy = RetryPolicy(tries=10**9, base=0.001, cap=0.001)
    async with Wire(answer(503)) as wire, agentity(wire.url, retry=policy) as client:
        with pytest.raises(Exception, match=r"503|did not finish within"):
            await client.api_keys.list(timeout=0.1).collect()
    assert time.monotonic() - begun < 30
    assert len(wire.requests) > 1


async def test_a_pooled_connection_is_waited_for_within_the_deadline():
    """Calls that wait for a free connection were not sent: `applied` is "no"."""
    async with Wire(hang) as wire, agentity(wire.url, timeout=60) as client:
        # One more than aiohttp opens at once.
        calls = [asyncio.create_task(client.api_keys.create("x")) for _ in range(100)]
        while len(wire.requests) < 100:
            wire.arrived.clear()
            await wire.arrived.wait()
        ends = []
        for late in (
            client.api_keys.create("x", timeout=TICK),
            client.api_keys.list(timeout=TICK).first(),
            client.api_keys.delete(1, timeout=TICK),
        ):
            with pytest.raises(DeadlineExceededError) as caught:
                await late
            ends.append((caught.value.applied, caught.value.attempts))
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert ends == [("no", 1)] * 3
    assert len(wire.requests) == 100


async def test_a_timeout_on_a_listing_is_for_each_page():
    """Work between two pages does not count."""
    first = answer(200, {"api_keys": [], "next_page_token": "2"})
    async with Wire(first, hang) as wire, agentry(wire.url) as client:
        pages = client.api_keys.list(timeout=TICK).pages()
        await anext(pages)
        with pytest.raises(DeadlineExceededError):
            await anext(pages)
    assert len(wire.requests) == 2


async def test_no_limit_is_a_limit_too():
    """`math.inf` waits for as long as it takes."""
    async with Wire(answer(201, NEW_KEY)) as wire, agentity(wire.url, timeout=math.inf) as client:
        assert (await client.api_keys.create("x")).id == 42


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "30", True, [], 0.0])
async def test_a_timeout_that_cannot_be_is_refused_before_anything_is_sent(timeout):
    """0, negative numbers, NaN and what is no number get a sentence."""
    async with Wire(answer(201, NEW_KEY)) as wire:
        with pytest.raises(InvalidArgumentError, match="timeout"):
            agentity(wire.url, timeout=timeout)
        async with agentity(wire.url) as client, agentry(wire.url) as other:
            for call in (
                client.api_keys.create("x", timeout=timeout),
                client.api_keys.delete(1, timeout=timeout),
                other.api_keys.delete("x", timeout=timeout),
            ):
                with pytest.raises(InvalidArgumentError, match="timeout"):
                    await call
            for listing in (client.api_keys.list, other.api_keys.list):
                with pytest.raises(InvalidArgumentError, match="timeout"):
                    listing(timeout=timeout)
    assert wire.requests == []


async def test_a_callers_own_timeout_is_his():
    """`asyncio.timeout` around a call ends in TimeoutError, and not in our error."""
    async with Wire(hang) as wire, agentity(wire.url) as client:
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(TICK):
                await client.api_keys.create("x")
    assert not isinstance(caught.value, DeadlineExceededError)


async def test_a_timeout_error_of_a_callback_is_its_own():
    """What `on_renewal` raises is not mistaken for the deadline."""

    def fail(_: object) -> None:
        raise TimeoutError("the vault is slow")

    async with Wire(answer(401), answer(200, PAIR)) as wire:
        async with agentity(wire.url, TokenPair(jwt(), "r", on_renewal=fail)) as client:
            with pytest.raises(TimeoutError, match="the vault is slow"):
                await client.api_keys.create("x")
