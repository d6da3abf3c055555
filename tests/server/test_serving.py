"""Starting, serving and ending."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time

import aiohttp
import pytest
from aiohttp import web
from programs import HEED_SIGNALS
from yarl import URL

from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio

posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")


async def test_in_memory_it_is_ready_in_under_100_ms():
    """Once imported, a service in memory starts in a tenth of a second."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        async with LocalService():
            times.append(time.perf_counter() - start)
    assert min(times) < 0.1


async def test_what_a_client_needs_is_there(service):
    """The address has no slash behind, and the inbox is the one that is documented."""
    assert URL(service.url).host == "127.0.0.1"
    assert service.url == f"http://127.0.0.1:{URL(service.url).port}"
    assert service.inbox_id == "demo@agentkeys.local"
    assert repr(service) == f"<LocalService {service.url}>"


async def test_a_service_that_does_not_run_says_so():
    """What is known only once it runs cannot be had before; the rest can."""
    service = LocalService()
    for name in ("url", "password", "agentry_token"):
        with pytest.raises(ConfigurationError, match="async with"):
            getattr(service, name)
    with pytest.raises(ConfigurationError, match="async with"):
        await service.add_pod("pod")
    assert repr(service) == "<LocalService not running>"
    await service.close()


@pytest.mark.parametrize("seconds", [-1.0, 0.0, float("nan"), float("inf")])
async def test_seconds_are_finite_and_positive(seconds):
    """A lifetime or a timeout that cannot be one is refused before anything starts."""
    for name in ("access_token_lifetime", "keepalive_timeout", "used_at_interval"):
        with pytest.raises(InvalidArgumentError, match=name):
            LocalService(**{name: seconds})


async def test_it_can_be_started_again_but_not_twice(api_of):
    """A second start is refused while it runs; after close it starts anew."""
    service = LocalService()
    tokens = []
    for _ in range(2):
        async with service:
            with pytest.raises(ConfigurationError, match="already running"):
                await service.start()
            await api_of(service).create()
            tokens.append(service.agentry_token)
        await service.close()
    assert tokens[0] != tokens[1]


async def test_a_port_in_use_is_one_sentence_and_no_database(tmp_path):
    """The port is taken first: when it cannot be had, nothing is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = LocalService(port=port, database=f"sqlite:///{tmp_path}/keys.db")
        with pytest.raises(ConfigurationError, match="the port is in use") as caught:
            await service.start()
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    async with service:
        assert URL(service.url).port == port


async def test_a_start_that_fails_gives_the_port_back(tmp_path):
    """A bad database leaves nothing listening."""
    (tmp_path / "keys.db").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConfigurationError):
        await LocalService(port=port, database=f"sqlite:///{tmp_path}/keys.db").start()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "port"), [("256.0.0.1", 0), ("192.0.2.1", 0), ("\ud800", 0), ("127.0.0.1", 65536)]
)
async def test_an_address_that_is_not_ours_is_one_sentence(host, port):
    """A host that cannot be resolved or listened on, or no port, is a ConfigurationError."""
    with pytest.raises(ConfigurationError) as caught:
        await LocalService(host=host, port=port).start()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("localhost", r"http://(127\.0\.0\.1|\[::1\]):\d+"),
        ("0.0.0.0", r"http://127\.0\.0\.1:\d+"),  # noqa: S104 - what a container needs
        ("::1", r"http://\[::1\]:\d+"),
        ("::", r"http://\[::1\]:\d+"),
    ],
)
async def test_the_address_can_be_used_from_this_machine(api_of, host, url):
    """Whatever it listens on, `url` is where this machine finds it."""
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with LocalService(host=host) as service:
        assert re.fullmatch(url, service.url)
        await api_of(service).create()


async def test_a_closed_service_leaves_nothing(api_of):
    """No task, no thread of ours, no open port; idle connections do not delay the end."""
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with LocalService() as service:
        api = api_of(service)
        await api.create()
        address = api.address
        async with api.connection() as (reader, _):
            start = time.perf_counter()
            await service.close()
            assert time.perf_counter() - start < 1
            assert await reader.read() == b""
        assert asyncio.all_tasks() == tasks
        # One of another test's may still be about to end.
        left = set(threading.enumerate()) - threads
        assert [thread for thread in left if "agentkeys" in thread.name] == []
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)


async def test_close_answers_the_requests_under_way(api_of):
    """A request that was taken is answered before the service ends, and is durable."""
    taken, go = asyncio.Event(), asyncio.Event()

    @web.middleware
    async def hold(request, handler):
        taken.set()
        await go.wait()
        return await handler(request)

    async with LocalService(middlewares=[hold]) as service:
        creating = asyncio.create_task(api_of(service).create())
        await taken.wait()
        closing = asyncio.create_task(service.close())
        await asyncio.sleep(0)
        go.set()
        assert (await creating)["name"] == "a key"
        await closing


async def test_a_request_that_hangs_delays_close_no_longer_than_it_is_allowed(api_of):
    """shutdown_timeout bounds the end."""
    taken = asyncio.Event()

    @web.middleware
    async def hang(request, handler):
        taken.set()
        await asyncio.Event().wait()

    async with LocalService(middlewares=[hang], shutdown_timeout=0.05) as service:
        creating = asyncio.create_task(api_of(service).create())
        await taken.wait()
        start = time.perf_counter()
        await service.close()
        assert time.perf_counter() - start < 1
        with pytest.raises(aiohttp.ClientError):
            await creating


CREATE = b"POST /human/v0/api-keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n"
CREATE += b'Content-Length: 13\r\n\r\n{"name": "a"}'


@pytest.mark.parametrize("sent", [1, 100, -13, -12, -1])
async def test_a_request_that_arrives_while_the_service_closes_is_answered(api_of, sent):
    """Be it its head or its body: what has begun to arrive when it closes is read to its end."""
    async with LocalService() as service:
        api = api_of(service)
        request = CREATE % service.agentry_token.encode()
        async with api.connection() as (reader, writer), api.connection() as (idle, _):
            writer.write(request[:sent])
            await api.ids()  # which was read after it
            closing = asyncio.create_task(service.close())
            assert await idle.read() == b""
            writer.write(request[sent:])
            assert b"HTTP/1.1 201 " in await reader.read()
            await closing


async def test_a_body_that_does_not_arrive_before_the_service_has_closed_is_told_so(api_of):
    """Its client reads a 503 that says why, and nothing was done."""
    async with LocalService(shutdown_timeout=0.05) as service:
        api = api_of(service)
        request = CREATE % service.agentry_token.encode()
        async with api.connection() as (reader, writer):
            writer.write(request[:-1])
            await service.requests.wait(1)
            await service.close()
            answer = await reader.read()
    assert b"HTTP/1.1 503 " in answer
    assert b"before the whole body" in answer


async def test_an_idle_connection_is_closed(api_of):
    """A connection that sends no whole request head in time is given up."""
    async with LocalService(keepalive_timeout=0.05) as service:
        for sent in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost:"):
            async with api_of(service).connection() as (reader, writer):
                writer.write(sent)
                assert await reader.read() == b""


SERVE = """
import asyncio, json, sys
from aiohttp import web
from agentkeys.server import LocalService, serve

@web.middleware
async def hold(request, handler):
    print("taken", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return await handler(request)

def ready(service):
    print(json.dumps({"url": service.url, "token": service.agentry_token}), flush=True)

asyncio.run(serve(LocalService(middlewares=[hold]), ready=ready))
print("returned", flush=True)
"""


@contextlib.asynccontextmanager
async def started():
    """Run `serve` in a process of its own; give it and what a client needs, for a minute."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HEED_SIGNALS + SERVE, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(60):
            yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def create(session, ready):
    url = URL(f"{ready['url']}/human/v0/api-keys")
    headers = {"Authorization": f"Bearer {ready['token']}"}
    async with session.post(url, headers=headers, json={"name": "a"}) as answer:
        return answer.status


async def not_listening(ready):
    url = URL(ready["url"])
    while True:
        try:
            _, writer = await asyncio.open_connection(url.host, url.port)
        except ConnectionError:
            return
        writer.close()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_when_the_requests_under_way_are_answered(number):
    """After the signal nobody new is served, who was is answered, and the process exits 0."""
    async with started() as (process, ready):
        async with aiohttp.ClientSession() as session:
            creating = asyncio.create_task(create(session, ready))
            assert await process.stdout.readline() == b"taken\n"
            process.send_signal(number)
            await not_listening(ready)
            process.stdin.write(b"go\n")
            assert await creating == 201
        output, errors = await process.communicate()
        assert (process.returncode, output) == (0, b"returned\n")
        # The asyncio of CPython 3.13.0 complains, at the exit, of a connection that was refused.
        assert errors == b"" or sys.version_info[:3] == (3, 13, 0)


@posix
async def test_a_second_signal_does_not_wait():
    """Who is in a hurry says it twice."""
    async with started() as (process, ready):
        async with aiohttp.ClientSession() as session:
            creating = asyncio.create_task(create(session, ready))
            assert await process.stdout.readline() == b"taken\n"
            process.send_signal(signal.SIGTERM)
            await not_listening(ready)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(aiohttp.ClientError):
                await creating
        assert await process.wait() == -signal.SIGTERM
