"""HTTP itself: what the parser refuses, methods, routes, bodies that do not come."""

from __future__ import annotations

import logging

import pytest

from agentkeys.server import LocalService

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog):
    """The service has nothing to say about input that it refuses."""
    with caplog.at_level(logging.INFO):
        yield
    assert [record for record in caplog.records if record.name != "asyncio"] == []


HEAD = b"POST /human/v0/api-keys HTTP/1.1\r\nHost: localhost\r\n"
NOT_HTTP = {
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",),
    "a bad method": (b"G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "a method nobody knows": (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "a bad version": (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",),
    "a long line": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "a long header": (HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\n",),
    "many headers": (HEAD + b"".join(b"X%d: a\r\n" % i for i in range(300)) + b"\r\n",),
    "no colon": (HEAD + b"Authorization Bearer ag_top_secret\r\n\r\n",),
    "NUL in a header": (HEAD + b"Authorization: Bearer ag_top_\0secret\r\n\r\n",),
    "a bad length": (HEAD + b"Content-Length: ag_top_secret\r\n\r\n",),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\n",),
    "two lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",),
    "length and chunks": (
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "a bad transfer encoding": (HEAD + b"Transfer-Encoding: ag_top_secret\r\n\r\n",),
    "a bad chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nag_top_secret\r\n",),
    "bytes in the path": (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "a bad address": (b"GET http://[::1/ HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "a bad port": (b"GET http://a:99999999/ HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "no slash": (b"GET human HTTP/1.1\r\nHost: localhost\r\n\r\n",),
    "a folded header": (HEAD + b"A: b\r\n c\r\n\r\n",),
}


@pytest.mark.parametrize("parts", NOT_HTTP.values(), ids=NOT_HTTP.keys())
async def test_what_the_parser_refuses_is_answered_like_any_other_error(api, parts):
    """The HTTP parser's errors are JSON, have a request id, and repeat nothing of the request."""
    answer = await api.raw(*parts)
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-Id"].startswith("req_")
    api.of_agentry(answer)
    assert b"top_" not in answer.body


async def test_a_bad_chunk_after_a_good_head_is_refused(api_of):
    """A body that stops being HTTP when its head was taken is refused at once."""
    async with LocalService() as service:
        api = api_of(service)
        async with api.connection() as (reader, writer):
            writer.write(HEAD + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
            assert b" 100 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"zz\r\n")
            assert b" 400 " in await reader.readuntil(b"\r\n\r\n")


async def test_an_expectation_nobody_can_meet_is_a_417(api):
    """An unknown Expect header is refused in the service's own shape, with a request id."""
    answer = await api.send(
        "POST", api.inbox, token=api.service.agentry_token, headers={"Expect": "wonders"}
    )
    assert (answer.status, answer.headers["X-Request-Id"][:4]) == (417, "req_")
    api.of_agentry(answer)


async def test_a_client_that_leaves_in_the_middle_harms_nobody(api):
    """A connection that is cut within a body makes no key, and the next is served."""
    token = f"Authorization: Bearer {api.service.agentry_token}\r\n".encode()
    async with api.connection() as (_, writer):
        writer.write(HEAD + token + b'Content-Length: 13\r\n\r\n{"name":')
        await writer.drain()
        writer.transport.abort()
    assert await api.ids(api.tenant) == []


async def test_a_body_that_does_not_come_is_a_408(api_of):
    """A body has to arrive in time; the connection is given up when it does not."""
    async with LocalService(body_timeout=0.01) as service:
        api = api_of(service)
        answer = await api.raw(HEAD + b"Content-Length: 13\r\n\r\n{")
        assert answer.status == 408
        api.of_agentry(answer)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/auth/api-keys", {"GET", "POST"}),
        ("GET", "/auth/token", {"POST"}),
        ("GET", "/auth/api-keys/1", {"DELETE"}),
        ("HEAD", "/human/v0/api-keys", {"GET", "POST"}),
        ("OPTIONS", "/agent/v0/pods/p/api-keys", {"GET", "POST"}),
        ("PATCH", "/agent/v0/api-keys/1", {"DELETE"}),
    ],
)
async def test_a_wrong_method_is_a_405_that_names_the_right_ones(api, method, path, allowed):
    """405 comes with Allow, before any question of who asks."""
    answer = await api.send(method, path)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(",")) == allowed


@pytest.mark.parametrize("path", ["/", "/auth", "/auth/api-keys/", "/human/v0/inboxes//api-keys"])
async def test_an_unknown_route_is_a_404(api, path):
    """What is no route answers 404 in the shape of the service whose path it is."""
    answer = await api.raw(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert answer.status == 404
    (api.of_agentity if path.startswith("/auth/") else api.of_agentry)(answer)


async def test_every_answer_has_an_id_of_its_own(api):
    """X-Request-Id is on good answers and bad ones, and no two are the same."""
    paths = [api.inbox, "/nowhere", "/auth/api-keys"] * 5
    answers = [await api.send("GET", path, token=api.service.agentry_token) for path in paths]
    ids = {answer.headers["X-Request-Id"] for answer in answers}
    assert len(ids) == len(paths)
