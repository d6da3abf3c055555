"""A lent session gives its connections, and none of its settings can break what we rely on."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json

import aiohttp
import pytest
from samples import NEW_INBOX_KEY, TOKEN, agentity, agentry
from wire import Wire, answer, close, hang

from agentkeys import (
    AgentKeysError,
    AuthenticationError,
    ConfigurationError,
    PasswordLogin,
    TransportError,
)

pytestmark = pytest.mark.asyncio

LISTING = {"count": 0, "api_keys": [], "apiKeys": []}


class Unusable(aiohttp.ClientResponse):
    async def start(self, connection):
        raise AssertionError("this class is not ours")


class Rewritten(aiohttp.ClientRequest):
    def update_headers(self, headers):
        super().update_headers(headers)
        self.headers["Authorization"] = "Bearer other"


async def refuse(response):
    raise ValueError("this check is not ours")


SETTINGS = {
    "no decompression": {"auto_decompress": False},
    "small limits": {"max_line_size": 9, "max_field_size": 9, "max_headers": 1},
    "a small buffer": {"read_bufsize": 1},
    "an early timeout": {"timeout": aiohttp.ClientTimeout(total=1e-9)},
    "a late timeout of its own": {"timeout": aiohttp.ClientTimeout(sock_read=1e-9)},
    "raise_for_status": {"raise_for_status": True},
    "a check of its own": {"raise_for_status": refuse},
    "another base URL": {"base_url": "http://127.0.0.1:9/elsewhere/"},
    "another JSON": {"json_serialize": lambda _: "{}"},
    "HTTP/1.0": {"version": aiohttp.HttpVersion10},
    "skipped headers": {"skip_auto_headers": ["Content-Type", "User-Agent", "Accept-Encoding"]},
    "another encoding": {"headers": {"Accept-Encoding": "br, zstd"}},
    "another type": {"headers": {"Content-Type": "text/plain", "Accept": "text/html"}},
    "another length": {"headers": {"Content-Length": "3"}},
    "another framing": {"headers": {"Transfer-Encoding": "chunked"}},
    "another host": {"headers": {"Host": "evil.test"}},
    "conditions": {"headers": {"If-None-Match": "*", "Range": "bytes=0-1"}},
    "an expectation": {"headers": {"Expect": "100-continue"}},
    "a closing connection": {"headers": {"Connection": "close"}},
    "another response": {"response_class": Unusable},
    "another request": {"request_class": Rewritten},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
async def test_a_call_goes_as_on_a_session_of_our_own(settings):
    """The same bytes go out, and the same answers come of them."""
    packed = gzip.compress(json.dumps(NEW_INBOX_KEY).encode(), mtime=0)
    replies = [
        answer(201, packed, {"Content-Encoding": "gzip", "X-Long": "x" * 100}),
        answer(200, LISTING),
        answer(401, {"message": "who?"}),
    ]
    sent = []
    async with aiohttp.ClientSession(**settings) as lent:
        for session in (None, lent):
            async with Wire(*replies) as wire, agentry(wire.url, session=session) as client:
                assert (await client.api_keys.create("x")).id == "key_1"
                assert await client.api_keys.list().collect() == []
                with pytest.raises(AuthenticationError, match="who"):
                    await client.api_keys.delete("1")
            port = wire.requests[0].headers["host"]
            sent.append(
                [(each.method, each.target, each.headers, each.body) for each in wire.requests]
            )
            for seen in wire.requests:
                assert seen.headers["host"] == port
                seen.headers["host"] = "one of them"
    assert sent[0] == sent[1]


async def test_two_clients_on_one_session_share_no_cookie():
    """Nor does either get one that the session had, or leave one there."""
    jar = aiohttp.CookieJar(unsafe=True)
    reply = answer(200, LISTING, {"Set-Cookie": "session=abc; Path=/"})
    async with Wire(reply) as wire, aiohttp.ClientSession(cookie_jar=jar) as lent:
        jar.update_cookies({"theirs": "1"})
        for client in (agentry(wire.url, session=lent), agentity(wire.url, session=lent)):
            await client.api_keys.list().collect()
            await client.api_keys.list().collect()
        assert [cookie.key for cookie in jar] == ["theirs"]
    assert len(wire.requests) == 4
    assert not any("cookie" in seen.headers for seen in wire.requests)


async def test_trust_env_reads_no_netrc(tmp_path, monkeypatch):
    """An entry for the host, or for every host, adds no password and ends in no foreign error."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    pair = answer(200, {"accessToken": "a.b.c", "refreshToken": "r"})
    async with (
        Wire(pair, answer(200, LISTING)) as wire,
        aiohttp.ClientSession(trust_env=True) as lent,
    ):
        client = agentity(wire.url, PasswordLogin("me@example.com", "pw"), session=lent)
        await client.api_keys.list().collect()
    assert wire.requests[0].headers["authorization"] == "Basic bWVAZXhhbXBsZS5jb206cHc="
    assert wire.requests[1].headers["authorization"] == "Bearer a.b.c"


async def test_what_it_wants_of_each_request_stays_in_force():
    """Headers, middlewares and tracing are what somebody lends a session for."""
    traced = []

    async def stamp(request, handler):
        request.headers["X-Stamp"] = "yes"
        return await handler(request)

    async def note(_, __, params):
        traced.append(dict(params.headers))

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(note)
    settings = {"headers": {"X-Tenant": "acme"}, "middlewares": [stamp], "trace_configs": [tracing]}
    async with Wire(answer(200, LISTING)) as wire, aiohttp.ClientSession(**settings) as lent:
        await agentry(wire.url, session=lent).api_keys.list().collect()
    seen = wire.requests[0].headers
    assert (seen["x-tenant"], seen["x-stamp"]) == ("acme", "yes")
    assert traced[0]["X-Tenant"] == "acme"
    assert TOKEN not in repr(traced)


async def test_its_connections_are_used_and_left_open():
    """What it is lent for: no second pool, and nothing that is closed with the client."""
    async with Wire(answer(200, LISTING)) as wire, aiohttp.ClientSession() as lent:
        async with lent.get(f"{wire.url}/theirs") as response:
            await response.read()
        for client in (agentry(wire.url, session=lent), agentity(wire.url, session=lent)):
            async with client:
                await client.api_keys.list().collect()
        async with lent.get(f"{wire.url}/theirs") as response:
            await response.read()
        assert not lent.closed
    assert (wire.connections, len(wire.requests)) == (1, 4)


async def test_a_client_that_is_dropped_leaves_no_warning():
    """Who lends a session need not close the client; warnings are errors here."""
    async with Wire(answer(200, LISTING)) as wire, aiohttp.ClientSession() as lent:
        client = agentry(wire.url, session=lent)
        await client.api_keys.list().collect()
        del client
        gc.collect()
        async with lent.get(f"{wire.url}/theirs") as response:
            assert response.status == 200


async def again(request, handler):
    """Send twice what went wrong, as the example in aiohttp's documentation does."""
    for _ in range(2):
        response = await handler(request)
        if response.status < 500:
            break
    return response


async def test_a_middleware_does_not_send_a_create_twice():
    """Law 1 holds whoever would repeat it; a listing may be repeated."""
    replies = answer(500), answer(200, LISTING)
    async with Wire(*replies) as wire, aiohttp.ClientSession(middlewares=[again]) as lent:
        client = agentry(wire.url, session=lent)
        with pytest.raises(TransportError, match="twice") as caught:
            await client.api_keys.create("x")
        assert (caught.value.applied, len(wire.requests)) == ("maybe", 1)
        await client.api_keys.list().collect()
    assert len(wire.requests) == 2


class ForeignError(Exception):
    def __init__(self, token: str) -> None:
        super().__init__(f"the header was {token}")


async def raise_before(request, _):
    raise ForeignError(str(request.headers))


async def raise_after(request, handler):
    await handler(request)
    raise ForeignError(str(request.headers))


async def raise_os_error(*_):
    raise PermissionError(13, "the proxy's socket")


@pytest.mark.parametrize(
    ("middleware", "applied"),
    [(raise_before, "no"), (raise_after, "maybe"), (raise_os_error, "no")],
)
async def test_no_exception_of_others_leaves_a_call(middleware, applied):
    """It becomes an error of ours, which names its kind and none of its words: they may be ours."""
    async with (
        Wire(answer(201, NEW_INBOX_KEY)) as wire,
        aiohttp.ClientSession(middlewares=[middleware]) as lent,
    ):
        with pytest.raises(AgentKeysError) as caught:
            await agentry(wire.url, session=lent).api_keys.create("x")
    assert caught.value.applied == applied
    assert TOKEN not in str(caught.value)
    assert caught.value.__context__ is None


async def test_an_exception_of_others_is_not_tried_again():
    """A bug will be there in a second as well."""
    async with aiohttp.ClientSession(middlewares=[raise_before]) as lent:
        with pytest.raises(TransportError, match="ForeignError") as caught:
            await agentry("http://127.0.0.1:9", session=lent).api_keys.list().collect()
    assert (caught.value.attempts, caught.value.lasting) == (1, True)


async def test_its_own_proxy_is_used_with_its_password():
    """As an address or as `proxy_auth`; and neither shows."""
    basic = "Basic dXNlcjpodW50ZXIy"
    async with Wire(close, answer(200, LISTING)) as proxy:
        address = proxy.url.replace("http://", "http://user:hunter2@")
        async with aiohttp.ClientSession(proxy=address) as lent:
            client = agentry("http://agentry.test", session=lent, allow_http=True)
            await client.api_keys.list().collect()
    assert {seen.headers["proxy-authorization"] for seen in proxy.requests} == {basic}
    assert "hunter2" not in repr(client._session._http.secrets())


async def test_default_credentials_are_refused():
    """`auth` is the other way to give a session a password."""
    with pytest.warns(DeprecationWarning, match="auth"):
        lent = aiohttp.ClientSession(auth=aiohttp.BasicAuth("user", "hunter2"))
    async with lent:
        with pytest.raises(ConfigurationError, match="credentials of its own"):
            agentry("http://127.0.0.1:9", session=lent)


@pytest.mark.parametrize("call", ["create", "delete"])
async def test_no_frame_holds_the_token_while_a_call_waits(call):
    """A traceback with locals of a call that hangs shows it nowhere."""
    async with Wire(hang) as wire, agentry(wire.url) as client:
        waiting = asyncio.create_task(getattr(client.api_keys, call)("x"))
        await wire.hung.wait()
        frames = list(suspended(waiting.get_coro()))
        waiting.cancel()
        await wire.disconnected.wait()
        await asyncio.wait([waiting])
    assert {"_exchange", "_request"} <= {frame.f_code.co_name for frame in frames}
    assert not [
        (frame.f_code.co_qualname, name)
        for frame in frames
        for name, value in frame.f_locals.items()
        if TOKEN in repr(value)
    ]


def suspended(awaited):
    """Return the frames of what a task waits in, from the outermost in."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is not None:
            yield frame
            for local in frame.f_locals.values():
                if isinstance(local, asyncio.Task):  # a create waits for one that asyncio hides
                    yield from suspended(local.get_coro())
        inner = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
        if inner is None and frame is None:
            return
        awaited = inner
