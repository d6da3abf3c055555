"""What anybody may send without credentials costs the service little, and others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import tracemalloc

import pytest
from aiohttp import web
from argon2 import PasswordHasher

from agentkeys import Secret
from agentkeys.server import LocalService
from agentkeys.server.http.heads import HEAD_LIMIT
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.storage.passwords import MOST_WAITING, Passwords

pytestmark = pytest.mark.asyncio

FLOOD = 150


def login_of(api, email="nobody@acme.to", method="POST", path="/auth/token", body=b""):
    (line,) = api.basic(email, "wrong").values()
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {line}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def counted(monkeypatch):
    """Count how many passwords the library that does it hashes and verifies."""
    calls = []
    for name in ("hash", "verify"):
        own = getattr(PasswordHasher, name)

        def call(*args, own=own, **kwargs):
            calls.append(threading.get_ident())
            return own(*args, **kwargs)

        monkeypatch.setattr(PasswordHasher, name, call)
    yield calls


@pytest.mark.parametrize(
    "request_of",
    [login_of, lambda api: login_of(api, path="/auth/register", body=b'{"name": "x"}')],
    ids=["login", "register"],
)
async def test_a_client_that_hung_up_costs_no_hash(api, request_of, monkeypatch):
    """Whoever sends credentials and hangs up leaves no work behind that others wait for."""
    with counted(monkeypatch) as hashes:
        for _ in range(FLOOD):
            async with api.connection() as (_, writer):
                writer.write(request_of(api))
        assert (await api.login()).status == 200
    # Two threads hash what came first, while the rest still come and go.
    assert len(hashes) < FLOOD / 2


async def test_who_waits_for_a_hash_is_one_of_a_few(service):
    """One more than may wait is a 503 with a Retry-After; after it, all is as before."""
    passwords = Passwords()
    jobs = [asyncio.ensure_future(passwords.hash(Secret("x"))) for _ in range(MOST_WAITING + 20)]
    ends = await asyncio.gather(*jobs, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, Refusal)]
    assert {(end.status, end.headers["Retry-After"]) for end in refused} == {(503, "1")}
    assert len(refused) == 18
    assert await passwords.verify(await passwords.hash(Secret("x")), Secret("x"))
    passwords.close()


async def test_too_many_logins_are_a_503_and_nothing_else_waits(api):
    """The answer says when to come back; a listing does not notice."""
    logins = [asyncio.create_task(api.raw(login_of(api))) for _ in range(MOST_WAITING + 20)]
    await api.ids()
    answers = await asyncio.gather(*logins)
    assert {answer.status for answer in answers} == {401, 503}
    for answer in answers:
        api.of_agentity(answer)
        assert answer.headers.get("Retry-After") == (None if answer.status == 401 else "1")
    assert (await api.login()).status == 200


async def test_a_request_whose_client_is_gone_still_counts(api_of):
    """Who hangs up and comes again has no more requests under way than who stays."""
    taken, go = asyncio.Semaphore(0), asyncio.Event()

    @web.middleware
    async def hold(request, handler):
        taken.release()
        await go.wait()
        return await handler(request)

    async with LocalService(connection_limit=3, middlewares=[hold]) as service:
        api = api_of(service)
        for _ in range(3):
            async with api.connection() as (_, writer):
                writer.write(b"GET /human/v0/api-keys HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await taken.acquire()
        refused = asyncio.create_task(
            api.raw(b"GET /human/v0/api-keys HTTP/1.1\r\nHost: localhost\r\n\r\n")
        )
        answer = await refused
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        go.set()
        while (await api.send("GET", api.tenant, token=service.agentry_token)).status != 200:
            pass


def line(size: int, name: str = "X") -> bytes:
    return f"{name}: ".encode() + b"y" * (size - len(name) - 4) + b"\r\n"


GET = b"GET /human/v0/api-keys HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /auth/token/refresh HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
TOO_LONG = {
    "lines": (GET, *[line(8000)] * 7),
    "short lines": (GET, *[line(320)] * 110),
    "empty lines": (b"\r\n" * HEAD_LIMIT,),
    "after a request": (GET + b"\r\n" + GET, *[line(8000)] * 7),
    "in one piece with a request": (GET + b"\r\n" + GET + line(8000) * 120,),
    "behind the queue": ((GET + b"\r\n") * 33 + GET + line(8000) * 120,),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", *[line(8000)] * 7),
    "the sizes of chunks": (CHUNKED, *[b"2;" + b"y" * 8000 + b"\r\n{}\r\n"] * 7),
}


@pytest.mark.parametrize("parts", TOO_LONG.values(), ids=TOO_LONG)
async def test_a_head_is_limited_as_a_whole(api, parts):
    """However a head is made long, it is refused before it is whole, and the connection closed."""
    async with api.connection() as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
        answer = (await reader.read()).rpartition(b"HTTP/1.")[2]
    assert answer[2:5] in {b"431", b"400"}, answer
    await api.ids()


async def test_a_head_of_the_allowed_length_is_read(api):
    """The limit is for what nobody needs: long tokens and cookies are read."""
    head = GET + f"Authorization: Bearer {api.service.agentry_token}\r\n".encode()
    head += line(8000) * 3 + line(800)
    head += line(HEAD_LIMIT - len(head) - 2) + b"\r\n"
    assert len(head) == HEAD_LIMIT
    for parts in ((head,), (head[:20_000], head[20_000:]), (head + head,)):
        assert (await api.raw(*parts)).status == 200


async def test_a_long_body_is_no_head(api):
    """What is counted is what surrounds the content, not the content."""
    body = b'{"refreshToken": "' + b"y" * 60_000 + b'"}'
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:]))
    for _ in range(2):
        answer = await api.raw(CHUNKED + chunks + b"0\r\n\r\n")
        assert (answer.status, "characters" in answer.json["message"]) == (400, True)


@pytest.mark.parametrize(
    "head", [GET + line(8000) * 120, (GET + b"\r\n") * 20_000, POST + b"a" * 900_000]
)
async def test_what_was_refused_is_not_kept(api, head):
    """While the client still sends, or waits, only what may be long is in memory."""
    tracemalloc.start()
    try:
        async with contextlib.AsyncExitStack() as exits:
            for _ in range(20):
                reader, writer = await exits.enter_async_context(api.connection())
                writer.write(head)
                await reader.readuntil(b"\r\n\r\n")
            kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Both ends of the connections are in this process.
    assert kept < 20 * 400_000
