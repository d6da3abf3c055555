"""Whoever leaves a listing, wherever and however, leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
from contextlib import aclosing, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from samples import agentry
from sockets import see_none_left, sockets
from stepping import SteppingLoop, cancelled_everywhere, in_use, others_end

from agentkeys.server.faults import LISTS, Delay, NeverAnswer
from agentkeys.sync import AgentryClient, LocalService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from agentkeys import AgentryClient as AsyncClient

Pause: TypeAlias = "Callable[[], Awaitable[None]]"
"""What a consumer does before it leaves: nothing, or wait until the next page is asked for."""

KEYS = 5


class LeavingError(Exception):
    """Why a consumer leaves."""


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    with LocalService() as service:
        with AgentryClient(service.agentry_token, base_url=service.url) as client:
            for n in range(KEYS):
                client.api_keys.create(str(n))
        yield service


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """What would complain when it is collected does so here; once, for it takes long."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def nothing_is_left(service, caplog) -> Iterator[None]:
    """Nothing is logged, and no socket is left."""
    before = sockets()
    yield
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
    see_none_left(before, service)


def open_client(service: LocalService) -> AsyncClient:
    return agentry(service.url, service.agentry_token)


async def break_off(listing: Any, at: int, pause: Pause) -> None:
    n = 0
    async for _ in listing:
        n += 1
        if n == at:
            await pause()
            break


async def close(listing: Any, at: int, pause: Pause) -> None:
    async with aclosing(aiter(listing)) as items:
        for _ in range(at):
            await anext(items)
        await pause()


async def drop(listing: Any, at: int, pause: Pause) -> None:
    items = aiter(listing)
    for _ in range(at):
        await anext(items)
    await pause()


async def fail(listing: Any, at: int, pause: Pause) -> None:
    n = 0
    with suppress(LeavingError):
        async for _ in listing:
            n += 1
            if n == at:
                await pause()
                raise LeavingError


async def throw(listing: Any, at: int, pause: Pause) -> None:
    items = aiter(listing)
    for _ in range(at):
        await anext(items)
    await pause()
    with suppress(LeavingError):
        await items.athrow(LeavingError())


async def cancel(listing: Any, at: int, pause: Pause) -> None:
    n, arrived = 0, asyncio.Event()

    async def consume() -> None:
        nonlocal n
        async for _ in listing:
            n += 1
            if n == at:
                await pause()
                arrived.set()
                await asyncio.Event().wait()

    consumer = asyncio.create_task(consume())
    await arrived.wait()
    consumer.cancel()
    with suppress(asyncio.CancelledError):
        await consumer


WAYS = [break_off, close, drop, fail, throw, cancel]
LIMITS = [1, 2, KEYS]


def pages_of(limit: int, by: str, at: int) -> int:
    """Return how many pages are handed out with the first items or pages."""
    return -(-at // limit) if by == "items" else at


@pytest.mark.asyncio
@pytest.mark.parametrize("leave", WAYS)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("by", ["items", "pages"])
@pytest.mark.parametrize("is_sent", [True, False], ids=["page ahead sent", "page ahead unsent"])
async def test_after_any_item_or_page(service, leave, limit, by, is_sent):
    """The page that is read ahead, which will never come, is given up; the client lists on."""
    before, pages = asyncio.all_tasks(), pages_of(limit, "items", KEYS)
    for at in range(1, (KEYS if by == "items" else pages) + 1):
        taken = pages_of(limit, by, at)
        service.faults.add(LISTS, Delay(0), times=taken)
        never = service.faults.add(LISTS, NeverAnswer(), times="always")
        is_ahead = 1 < taken < pages

        async def pause(never=never, is_awaited=is_sent and is_ahead) -> None:
            if is_awaited:
                await asyncio.to_thread(never.wait)

        async with open_client(service) as client:
            listing = client.api_keys.list(limit=limit)
            await leave(listing if by == "items" else listing.pages(), at, pause)
            del listing
            await others_end(but=before)
            assert in_use(client) == 0
            service.faults.clear()
            assert len(await client.api_keys.list(limit=limit).collect()) == KEYS


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("is_busy", [True, False], ids=["a consumer that waits", "collect"])
def test_in_the_midst_of_it(service, limit, is_busy):
    """Cancelled before any callback of the loop, with a page read ahead or without."""

    async def consume(client: AsyncClient) -> None:
        async for _ in client.api_keys.list(limit=limit):
            await asyncio.sleep(0)

    async def attempts():
        for _ in count():
            async with open_client(service) as client:
                listing = client.api_keys.list(limit=limit)
                yield client, consume(client) if is_busy else listing.collect()
                assert len(await listing.collect()) == KEYS

    with asyncio.Runner(loop_factory=SteppingLoop) as runner:
        points = runner.run(cancelled_everywhere(attempts()))
    assert points >= 8 * (1 if limit == KEYS else 2)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("by", ["items", "pages"])
def test_blocking_after_any_item_or_page(service, limit, by):
    """A `break` out of a blocking listing ends it, and the client lists on."""
    units = KEYS if by == "items" else pages_of(limit, "items", KEYS)
    for at in range(1, units + 1):
        service.faults.add(LISTS, Delay(0), times=pages_of(limit, by, at))
        service.faults.add(LISTS, NeverAnswer(), times="always")
        with AgentryClient(service.agentry_token, base_url=service.url) as client:
            listing = client.api_keys.list(limit=limit)
            for n, _ in enumerate(listing if by == "items" else listing.pages(), 1):
                if n == at:
                    break
            service.faults.clear()
            assert len(client.api_keys.list(limit=limit).collect()) == KEYS
