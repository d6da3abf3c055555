"""What comes over the wire when the service misbehaves on purpose, and what it holds afterwards."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from aiohttp import web

from agentkeys.server import LocalService
from agentkeys.server.faults import (
    AGENTITY,
    LISTS,
    Answer,
    Close,
    Delay,
    HalfBody,
    Html,
    HugeBody,
    Kind,
    MalformedJson,
    NeverAnswer,
    Redirect,
    Reset,
    Trickle,
    WrongLength,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.asyncio

INBOX_CREATE = "POST /human/v0/inboxes/{inbox_id}/api-keys"
TENANT_LIST = "GET /human/v0/api-keys"
WHENS = ["before", "after"]


@dataclass
class Call:
    """A request that can be sent, and a look at whether the service has acted on it."""

    route: str
    path: str
    headers: dict[str, str]
    body: dict[str, object] | None
    acted: Callable[[], Awaitable[bool]]

    @property
    def method(self) -> str:
        return self.route.split()[0]

    def bytes(self) -> bytes:
        body = b"" if self.body is None else json.dumps(self.body).encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def account_create(api):
    headers = bearer(await api.access_token())

    async def acted():
        return len((await api.send("GET", api.account, headers=headers)).json["apiKeys"]) == 1

    body = {"nickname": "bot"}
    return Call("POST /auth/api-keys", api.account, headers, body, acted)


async def account_delete(api):
    create = await account_create(api)
    answer = await api.send("POST", api.account, headers=create.headers, json=create.body)
    path = f"{api.account}/{answer.json['id']}"

    async def acted():
        return not await create.acted()

    return Call("DELETE /auth/api-keys/{id}", path, create.headers, None, acted)


async def inbox_create(api):
    async def acted():
        return len(await api.ids(api.inbox)) == 1

    headers = bearer(api.service.agentry_token)
    return Call(INBOX_CREATE, api.inbox, headers, {"name": "bot"}, acted)


async def inbox_delete(api):
    key = await api.create(api.inbox)

    async def acted():
        return await api.ids(api.inbox) == []

    route = "DELETE /human/v0/inboxes/{inbox_id}/api-keys/{api_key_id}"
    path = f"{api.inbox}/{key['api_key_id']}"
    return Call(route, path, bearer(api.service.agentry_token), None, acted)


async def agent_delete(api):
    """The one deletion that is answered 200, without a body."""
    key = await api.create("/agent/v0/api-keys")

    async def acted():
        return await api.ids("/agent/v0/api-keys") == []

    path = f"/agent/v0/api-keys/{key['api_key_id']}"
    route = "DELETE /agent/v0/api-keys/{api_key_id}"
    return Call(route, path, bearer(api.service.agentry_token), None, acted)


async def refresh(api):
    body = {"refreshToken": (await api.login()).json["refreshToken"]}

    async def acted():
        # The old refresh token is dead from then on.
        return (await api.send("POST", "/auth/token/refresh", json=body)).status == 401

    return Call("POST /auth/token/refresh", "/auth/token/refresh", {}, body, acted)


async def register(api):
    async def acted():
        return (await api.login("new@example.com", "pw")).status == 200

    headers = api.basic("new@example.com", "pw")
    body = {"name": "New"}
    return Call("POST /auth/register", "/auth/register", headers, body, acted)


WRITES = [
    account_create,
    account_delete,
    inbox_create,
    inbox_delete,
    agent_delete,
    refresh,
    register,
]


async def _always():
    return True


async def tenant_list(api):
    headers = bearer(api.service.agentry_token)
    return Call(TENANT_LIST, api.tenant, headers, None, _always)


async def account_list(api):
    headers = bearer(await api.access_token())
    path = "/auth/api-keys"
    return Call(f"GET {path}", path, headers, None, _always)


async def login(api):
    headers = api.basic(api.service.email, api.service.password)
    path = "/auth/token"
    return Call(f"POST {path}", path, headers, None, _always)


READS = [tenant_list, account_list, login]

writes = pytest.mark.parametrize("make", WRITES)
whens = pytest.mark.parametrize("when", WHENS)


async def over_the_wire(api, call) -> bytes:
    """Send the call and return every byte that comes back until the connection is closed."""
    async with asyncio.timeout(10), api.connection() as (reader, writer):
        writer.write(call.bytes())
        return await reader.read()


def parts(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Take an answer apart without trusting its length."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


# What the wire shows of each kind, given the status and the body of the answer that is spoiled.


def closed(raw, status, body):
    assert raw == b""


def half(raw, status, body):
    if body:
        assert parts(raw)[0] == status
        assert parts(raw)[1]["Content-Length"] == str(len(body))
        assert parts(raw)[2] == body[: len(body) // 2]
    else:
        assert f"HTTP/1.1 {status} ".encode().startswith(raw[:13])
        assert b"\r" not in raw


def whole(raw, status, body):
    assert parts(raw)[0] == status
    assert parts(raw)[1].get("Content-Length") == (None if status == 204 else str(len(body)))
    assert parts(raw)[2] == body


def too_long(raw, status, body):
    assert parts(raw)[1]["Content-Length"] == str(len(body) + 5)
    assert parts(raw)[2] == body


def too_short(raw, status, body):
    assert parts(raw)[1]["Content-Length"] == str(max(0, len(body) - 3))
    assert parts(raw)[2] == body


def html(raw, status, body):
    assert parts(raw)[0] == 502
    assert parts(raw)[1]["Content-Type"] == "text/html; charset=utf-8"
    assert parts(raw)[2].startswith(b"<!DOCTYPE html>")


def malformed(raw, status, body):
    assert parts(raw)[0] == (200 if status == 204 else status)
    assert parts(raw)[1]["Content-Type"] == "application/json"
    assert parts(raw)[2] == (body[:-1] or b"{")
    assert parts(raw)[1]["Content-Length"] == str(len(parts(raw)[2]))


def huge(raw, status, body):
    assert parts(raw)[1]["Content-Length"] == "300000"
    assert parts(raw)[1]["Connection"] == "close"
    assert len(json.loads(parts(raw)[2])) == 299_998


def chunked(raw, status, body):
    assert parts(raw)[1]["Transfer-Encoding"] == "chunked"
    assert "Content-Length" not in parts(raw)[1]
    rest, sent = parts(raw)[2], b""
    while size := int(rest.partition(b"\r\n")[0], 16):
        rest = rest.partition(b"\r\n")[2]
        sent, rest = sent + rest[:size], rest[size + 2 :]
    assert rest == b"0\r\n\r\n"
    assert len(json.loads(sent)) == 299_998


def redirect(raw, status, body):
    assert parts(raw)[0] == 307
    assert parts(raw)[1]["Location"] == "http://elsewhere.test/x"
    assert parts(raw)[2] == b""


def given(raw, status, body):
    assert parts(raw)[0] == 429
    assert parts(raw)[1]["Retry-After"] == "7"
    assert parts(raw)[2] == b'{"message":"Slow down."}'


KINDS = [
    (Close(), closed),
    (HalfBody(), half),
    (Trickle(0), whole),
    (WrongLength(5), too_long),
    (WrongLength(-3), too_short),
    (Html(502), html),
    (MalformedJson(), malformed),
    (HugeBody(300_000), huge),
    (HugeBody(300_000, chunked=True), chunked),
    (Redirect("http://elsewhere.test/x"), redirect),
    (Answer(429, {"message": "Slow down."}, {"Retry-After": "7"}), given),
    (Delay(0.001), whole),
]
kinds = pytest.mark.parametrize("misbehaving", KINDS, ids=lambda each: repr(each[0]))


@pytest.fixture
def answers():
    """What the service answers, before a fault spoils it."""
    return []


@pytest_asyncio.fixture
async def api(api_of, answers):
    @web.middleware
    async def note(request, handler):
        answer = await handler(request)
        answers.append((answer.status, bytes(answer.body or b"")))
        return answer

    async with LocalService(middlewares=[note]) as service:
        yield api_of(service)


def unavailable(route):
    """What is spoiled when the service does not act: its answer that it cannot be reached."""
    name = b"" if route in AGENTITY else b'"name":"ServiceUnavailableError",'
    return 503, b'{%b"message":"The service cannot be reached."}' % name


@kinds
@whens
@pytest.mark.parametrize("make", [*WRITES, *READS])
async def test_that_goes_wrong_and_nothing_else(api, answers, make, when, misbehaving):
    """The wire shows the fault; what was asked for is done only if the fault comes after it."""
    kind, shows = misbehaving
    call = await make(api)
    fault = api.service.faults.add(call.route, kind, when=when)
    answers.clear()
    raw = await over_the_wire(api, call)
    is_acted_on = when == "after" or isinstance(kind, Delay)
    assert len(answers) == is_acted_on
    shows(raw, *(answers[0] if is_acted_on else unavailable(call.route)))
    assert fault.hits == 1
    assert await call.acted() is (is_acted_on or make in READS)


@whens
@pytest.mark.parametrize("make", [*WRITES, *READS])
async def test_a_reset_is_a_reset(api, make, when):
    """The client's socket says ECONNRESET, and not a byte came before it."""
    call = await make(api)
    api.service.faults.add(call.route, Reset(), when=when)
    with pytest.raises(ConnectionResetError):
        await over_the_wire(api, call)
    assert await call.acted() is (when == "after" or make in READS)


@whens
@writes
async def test_what_is_never_answered_is_answered_by_nothing(api, make, when):
    """The connection stays open and silent, until the fault is removed: then it is closed."""
    call = await make(api)
    fault = api.service.faults.add(call.route, NeverAnswer(), when=when)
    answering = asyncio.create_task(over_the_wire(api, call))
    await fault.wait()
    assert await call.acted() is (when == "after")
    assert not answering.done()
    fault.remove()
    assert await answering == b""


async def test_fifty_megabytes_come_whole_to_who_reads_them(api):
    """That is the size of a HugeBody if none is given; the service does not hold it in memory."""
    call = await tenant_list(api)
    api.service.faults.add(LISTS, HugeBody())
    received = 0
    async with asyncio.timeout(30), api.connection() as (reader, writer):
        writer.write(call.bytes())
        head = await reader.readuntil(b"\r\n\r\n")
        while data := await reader.read(1 << 20):
            received += len(data)
    assert b"Content-Length: 50000000\r\n" in head
    assert received == 50_000_000


async def test_a_trickle_waits_before_each_byte(api):
    """With a pace for ever, the head comes, and nothing of the body."""
    call = await tenant_list(api)
    fault = api.service.faults.add(LISTS, Trickle(math.inf), when="after")
    async with asyncio.timeout(10), api.connection() as (reader, writer):
        writer.write(call.bytes())
        head = await reader.readuntil(b"\r\n\r\n")
        await api.login()  # a round trip in which the first byte could come
        reading = asyncio.create_task(reader.read())
        await asyncio.sleep(0)
        assert not reading.done()
        fault.remove()
        assert parts(head + await reading)[2] == b'{"api_keys":[],"count":0}'


@pytest.mark.parametrize("kind", [HalfBody(), Trickle(0), WrongLength(2), Html(502), Answer(500)])
async def test_a_spoiled_answer_has_its_request_id(api, kind):
    """What can be told from a log can still be told."""
    call = await tenant_list(api)
    api.service.faults.add(LISTS, kind)
    assert parts(await over_the_wire(api, call))[1]["X-Request-Id"].startswith("req_")
    assert api.service.requests[-1].request_id.startswith("req_")


@dataclass(frozen=True)
class Stammer(Kind):
    """Send the first byte of the body twice."""

    def instead_of(self, answer, request):
        del request
        yield b"HTTP/1.1 200 OK\r\n\r\n" + answer.body[:1]
        yield 0.0
        yield answer.body


async def test_a_fault_of_ones_own_is_one_method(api):
    """What `instead_of` says goes over the wire, and nothing else."""
    call = await tenant_list(api)
    api.service.faults.add(LISTS, Stammer(), when="after")
    sent = await over_the_wire(api, call)
    assert sent == b'HTTP/1.1 200 OK\r\n\r\n{{"api_keys":[],"count":0}'


async def test_a_connection_goes_on_after_an_answer_that_is_whole(api):
    """An answer of another status or body is an answer like any other."""
    api.service.faults.add(LISTS, Answer(503))
    api.service.faults.add(LISTS, Html())
    api.service.faults.add(LISTS, MalformedJson(), when="after")
    request = (await tenant_list(api)).bytes().replace(b"Connection: close\r\n", b"")
    async with asyncio.timeout(10), api.connection() as (reader, writer):
        for status in (503, 503, 200, 200):
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(parts(head)[1]["Content-Length"]))
            assert parts(head)[0] == status


@pytest.mark.parametrize(
    ("given", "content_type", "body"),
    [
        ({"a": 1}, "application/json", b'{"a":1}'),
        ("h\u00e9", "text/plain; charset=utf-8", b"h\xc3\xa9"),
        (b"\xff", "application/octet-stream", b"\xff"),
    ],
)
async def test_an_answer_is_what_it_was_given_as(api, given, content_type, body):
    """Bytes and text are sent as they are, anything else as JSON; a type of one's own counts."""
    call = await tenant_list(api)
    api.service.faults.add(LISTS, Answer(200, given))
    api.service.faults.add(LISTS, Answer(200, given, {"Content-Type": "x/y"}))
    status, headers, sent = parts(await over_the_wire(api, call))
    assert (status, headers["Content-Type"], sent) == (200, content_type, body)
    assert parts(await over_the_wire(api, call))[1]["Content-Type"] == "x/y"
