"""Clients that are slow, idle, many or too loud do not stop others from being served."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from aiohttp import web

from agentkeys.errors import InvalidArgumentError
from agentkeys.server import LocalService
from agentkeys.server.faults import ALL, NeverAnswer
from agentkeys.server.http.protocol import client_gone

pytestmark = pytest.mark.asyncio

BODY = b'{"name": "slow"}'
# Long enough for a slow machine, and shorter than every timeout of the service.
PATIENCE = 10.0


def head_of(service, path="/human/v0/api-keys", method="POST"):
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {service.agentry_token}",
        f"Content-Length: {len(BODY) if method == 'POST' else 0}",
    ]
    return "\r\n".join([*lines, "\r\n"]).encode()


async def status_of(reader):
    """Read the head of an answer."""
    return int((await reader.readuntil(b"\r\n\r\n")).split()[1])


@contextlib.asynccontextmanager
async def connections(api, number):
    async with contextlib.AsyncExitStack() as exits:
        yield [await exits.enter_async_context(api.connection()) for _ in range(number)]


async def test_idle_and_slow_clients_do_not_stop_others(api):
    """Beside 200 idle clients and 40 that send byte by byte others are served, and so are they."""
    head = head_of(api.service)
    async with (
        connections(api, 200) as idle,
        connections(api, 20) as slow_heads,
        connections(api, 20) as slow_bodies,
    ):
        for _, writer in slow_bodies:
            writer.write(head)
        for head_byte, body_byte in zip(head[:15], BODY[:15], strict=True):
            for _, writer in slow_heads:
                writer.write(bytes([head_byte]))
            for _, writer in slow_bodies:
                writer.write(bytes([body_byte]))
            async with asyncio.timeout(PATIENCE):
                await api.ids(api.tenant)
        for _, writer in slow_heads:
            writer.write(head[15:] + BODY)
        for _, writer in slow_bodies:
            writer.write(BODY[15:])
        for reader, _ in [*slow_heads, *slow_bodies]:
            assert await status_of(reader) == 201
        for reader, writer in idle:
            writer.write(head_of(api.service, method="GET"))
            assert await status_of(reader) == 200
    assert len(await api.ids(api.tenant)) == 40


@pytest.mark.parametrize("size", [100_000, 1_000_000, 20_000_000])
async def test_a_long_header_gets_its_answer_and_not_a_reset(api, size):
    """Who sends megabytes of header can send them all, reads the 400, and the end after it."""
    async with api.connection() as (reader, writer):
        writer.write(b"GET /human/v0/api-keys HTTP/1.1\r\nX: ")
        for _ in range(size // 100_000):
            writer.write(b"a" * 100_000)
            await writer.drain()
            if size == 1_000_000:
                await api.ids(api.tenant)  # others are served in the meantime
        answer = await reader.read()
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b'"code":"http"' in answer


async def test_what_cannot_be_read_does_not_delay_the_end(api):
    """A connection that is still open after a 400 does not hold up close."""
    async with api.connection() as (reader, writer):
        writer.write(b"G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await status_of(reader) == 400
        begun = time.perf_counter()
        await api.service.close()
        assert time.perf_counter() - begun < 1


async def test_the_idlest_connection_makes_room(api_of):
    """Above the limit, a new client is served, and who has been idle longest is closed."""
    async with LocalService(connection_limit=4) as service:
        api = api_of(service)
        async with connections(api, 4) as [first, second, third, fourth]:
            reader, writer = first  # which is idle for a shorter time than the others
            writer.write(head_of(service, method="GET"))
            assert await status_of(reader) == 200
            assert await api.ids(api.tenant) == []
            assert await second[0].read() == b""
            for reader, writer in (third, fourth):
                writer.write(head_of(service) + BODY)
                assert await status_of(reader) == 201


async def test_a_byte_now_and_then_does_not_count(api_of):
    """Who sends a head byte by byte is as idle as who sends nothing."""
    async with LocalService(connection_limit=2) as service:
        api = api_of(service)
        async with connections(api, 2) as [slow, idle]:
            reader, writer = idle
            writer.write(head_of(service, method="GET"))
            assert await status_of(reader) == 200
            slow[1].write(b"GET /")
            await slow[1].drain()
            await api.ids(api.tenant)
            assert await slow[0].read() == b""


async def test_a_slow_body_makes_room(api_of):
    """A request that is not whole yet is no reason to refuse those that are."""
    arrived = asyncio.Event()

    @web.middleware
    async def arriving(request, handler):
        arrived.set()
        return await handler(request)

    async with LocalService(connection_limit=1, middlewares=[arriving]) as service:
        api = api_of(service)
        async with api.connection() as (reader, writer):
            writer.write(head_of(service) + BODY[:5])
            await arrived.wait()
            assert await api.ids(api.tenant) == []
            assert await reader.read() == b""


async def test_an_answer_that_is_not_read_makes_room(api_of):
    """Who does not read what was asked for keeps nobody out."""

    @web.middleware
    async def long(request, handler):
        if request.path == "/long":
            return web.Response(body=b"a" * 50_000_000)
        return await handler(request)

    async with LocalService(connection_limit=1, middlewares=[long]) as service:
        api = api_of(service)
        async with api.connection() as (reader, writer):
            writer.write(head_of(service, "/long", "GET"))
            assert await status_of(reader) == 200
            assert await api.ids(api.tenant) == []


async def test_a_client_that_never_reads_is_let_go(api_of):
    """It has as long to read its answer as it has to send a body, and then the connection ends."""
    gone = asyncio.Event()

    @web.middleware
    async def long(request, handler):
        client_gone(request).add_done_callback(lambda _: gone.set())
        return web.Response(body=b"a" * 50_000_000)

    async with LocalService(answer_timeout=0.05, middlewares=[long]) as service:
        async with api_of(service).connection() as (_, writer):
            writer.write(head_of(service, method="GET"))
            async with asyncio.timeout(PATIENCE):
                await gone.wait()


async def test_a_client_that_reads_slowly_is_not_let_go(api_of):
    """What counts is that it reads: in each part of an answer anew."""

    @web.middleware
    async def in_parts(request, handler):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(8):
            await response.write(b"a" * 5_000_000)
        return response

    async with LocalService(answer_timeout=0.5, middlewares=[in_parts]) as service:
        async with api_of(service).connection() as (reader, writer):
            writer.write(head_of(service, method="GET"))
            length = 0
            while part := await reader.read(1_000_000):
                length += part.count(b"a")
                if length > 39_000_000:
                    break
    assert length > 39_000_000


async def test_if_all_are_busy_a_new_client_is_told_to_come_back(api_of):
    """With nobody to close, the answer is a 503 with a Retry-After, and those at work go on."""
    async with LocalService(connection_limit=2) as service:
        api = api_of(service)
        fault = service.faults.add(ALL, NeverAnswer(), times=2)
        busy = [asyncio.create_task(api.raw(head_of(service) + BODY)) for _ in range(2)]
        await fault.wait(2)
        async with api.connection() as (silent, _):
            answer = await api.raw(head_of(service, method="GET"))
            assert await silent.read() == b""
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.headers["Connection"] == "close"
        api.of_agentry(answer)
        assert not any(task.done() for task in busy)
        fault.remove()
        await asyncio.wait(busy)
        assert await api.ids(api.tenant) == []
        for task in busy:
            assert isinstance(task.exception(), asyncio.IncompleteReadError)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "500", None])
async def test_a_limit_is_a_number_of_connections(limit):
    """A limit that cannot be one is refused before anything starts."""
    with pytest.raises(InvalidArgumentError, match="connection_limit"):
        LocalService(connection_limit=limit)
