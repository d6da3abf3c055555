"""Law 1, of connections: what was not written was not acted on, and what died idle carries nothing.

The servers here act in threads of their own while the client's loop stands still, as a program's
does that computes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl

import aiohttp
import pytest
import trustme
from aside import Aside
from samples import NEW_INBOX_KEY, agentity, agentry, jwt
from wire import Wire, answer, close, hang, raw

from agentkeys import RequestError, RetryPolicy, Secret, TransportError
from agentkeys.agentity import _REGISTER
from agentkeys.agentity.logins import _REFRESH, LOGIN


def reply(status: str, document: object, *fields: str) -> bytes:
    body = json.dumps(document).encode()
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""])
    return head.encode() + body


REPLIES = {
    "GET": reply("200 OK", {"count": 0, "api_keys": [], "apiKeys": []}),
    "POST": reply("201 Created", NEW_INBOX_KEY),
}
LATE_408 = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
IDLE_ENDS = {
    "closed": (b"", True),
    "408 and closed": (LATE_408, True),
    "408 and left open": (LATE_408, False),
    "half an answer": (b"HTTP/1.1 200 OK\r\nContent-Le", False),
}
idle_ends = pytest.mark.parametrize(("words", "then_close"), IDLE_ENDS.values(), ids=IDLE_ENDS)


@pytest.fixture(params=["plain", "TLS"])
def server(request, authority, tls):
    """Give a test a server, and how its client trusts it."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Aside(REPLIES, tls=tls if request.param == "TLS" else None) as aside:
        yield aside, context if request.param == "TLS" else None


@pytest.mark.asyncio
@pytest.mark.parametrize("is_lent", [False, True])
@idle_ends
async def test_no_create_goes_out_on_a_connection_that_died_idle(
    server, words, then_close, is_lent
):
    """While the loop stood still, the server gave the connection up: the create takes another."""
    aside, context = server
    async with aiohttp.ClientSession() as lent:
        client = agentry(
            aside.url, ssl=context, retry=RetryPolicy(tries=1), session=lent if is_lent else None
        )
        async with client:
            await client.api_keys.list().collect()
            aside.say(words, then_close=then_close)
            assert (await client.api_keys.create("x")).id == "key_1"
    assert [line.split(" ")[0] for line in aside.requests] == ["GET", "POST"]


@pytest.mark.asyncio
@pytest.mark.parametrize("endpoint", [LOGIN, _REFRESH, _REGISTER], ids=lambda each: each.path)
@idle_ends
async def test_nor_does_a_login_a_refresh_or_a_registration(words, then_close, endpoint):
    """Whatever is sent looks at its connection first."""
    pair = {"accessToken": jwt(), "refreshToken": "r"}
    at = "2024-01-01T00:00:00.000Z"
    account = {"id": "1", "name": "n", "email": "e", "createdAt": at, "updatedAt": at}
    replies = {**REPLIES, "POST": reply("200 OK", {**pair, **account})}
    with Aside(replies) as aside:
        async with agentity(aside.url, retry=RetryPolicy(tries=1)) as client:
            await client.api_keys.list().collect()
            aside.say(words, then_close=then_close)
            await client._session.call(endpoint, json={}, authorization=Secret("b"))
    assert len(aside.requests) == 2


@pytest.mark.asyncio
async def test_a_pool_full_of_dead_connections_is_passed_over():
    """However many there are, the create finds a live one, and waits for none of them."""
    with Aside(REPLIES) as aside:
        async with agentry(aside.url, retry=RetryPolicy(tries=1)) as client:
            calls = [client.api_keys.list().collect() for _ in range(7)]
            await asyncio.gather(*calls)
            pooled = aside.connections
            aside.say(LATE_408, then_close=False)
            await client.api_keys.create("x")
    assert (pooled, aside.connections) == (7, 8)


@pytest.mark.asyncio
@idle_ends
async def test_so_are_those_that_others_left_in_a_lent_pool(words, then_close):
    """A lent session has carried requests that were none of ours."""
    with Aside(REPLIES) as aside:
        async with aiohttp.ClientSession() as lent:
            for response in await asyncio.gather(*(lent.get(aside.url) for _ in range(3))):
                await response.read()
            aside.say(words, then_close=then_close)
            client = agentry(aside.url, session=lent, retry=RetryPolicy(tries=1))
            await client.api_keys.create("x")
    assert [line.split(" ")[0] for line in aside.requests] == ["GET"] * 3 + ["POST"]


@pytest.mark.asyncio
async def test_a_server_that_ends_every_connection_at_once_was_asked_nothing():
    """New connections are tried a few times, and then it is one that was never made."""
    with Aside(REPLIES) as aside:

        async def end(*_):
            made.append(1)
            aside.wait_for(len(made))
            aside.say(b"", then_close=True)

        made = []
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(end)
        async with aiohttp.ClientSession(trace_configs=[tracing]) as lent:
            client = agentry(aside.url, session=lent, retry=RetryPolicy(tries=1))
            with pytest.raises(TransportError, match="before the request was sent") as caught:
                await client.api_keys.create("x")
    assert (caught.value.applied, aside.requests) == ("no", [])
    assert aside.connections == 4


@pytest.mark.asyncio
async def test_a_live_connection_is_used_again(server):
    """Looking at it costs no connection, with TLS neither."""
    aside, context = server
    async with agentry(aside.url, ssl=context) as client:
        for _ in range(5):
            await client.api_keys.list().collect()
            await client.api_keys.create("x")
    assert (aside.connections, len(aside.requests)) == (1, 10)


PROXY_TROUBLE = {
    "hangs up": close,
    "answers nonsense": raw(b"garbage\r\n\r\n"),
    "answers half": raw(b"HTTP/1.1 200 Conn"),
    "answers 502": answer(502),
    "hangs up after CONNECT": raw(b"HTTP/1.1 200 OK\r\n\r\n"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("is_lent", [False, True])
@pytest.mark.parametrize("trouble", PROXY_TROUBLE.values(), ids=PROXY_TROUBLE)
async def test_what_fails_before_the_request_is_written_was_not_applied(trouble, is_lent):
    """A proxy that makes no connection has passed nothing on: every try is made, each "no"."""
    async with Wire(trouble) as proxy, aiohttp.ClientSession() as lent:
        client = agentry(
            "https://agentry.invalid", proxy=proxy.url, session=lent if is_lent else None
        )
        async with client:
            with pytest.raises(TransportError) as caught:
                await client.api_keys.create("x")
    assert (caught.value.applied, caught.value.attempts) == ("no", 4)
    assert len(proxy.requests) == 4
    assert "check before you repeat the call" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_server_that_breaks_off_the_handshake_has_got_nothing():
    """The same for TLS that does not come about."""
    async with Wire(hang) as wire:  # which does not speak TLS
        async with agentry(wire.url.replace("http", "https")) as client:
            with pytest.raises(RequestError) as caught:
                await client.api_keys.create("x", timeout=0.3)
    assert caught.value.applied == "no"


@pytest.mark.asyncio
async def test_what_is_cancelled_before_it_is_written_was_not_applied():
    """A deadline that ends while the proxy makes the connection leaves nothing in doubt."""
    async with Wire(hang) as proxy:
        async with agentry("https://agentry.invalid", proxy=proxy.url) as client:
            with pytest.raises(RequestError) as caught:
                await client.api_keys.create("x", timeout=0.2)
    assert caught.value.applied == "no"


def refusing(wanting: ssl.SSLContext):
    """Return what serves a connection, ends the handshake in an alert, and closes in order."""

    async def serve(reader, writer):
        came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = wanting.wrap_bio(came, going, server_side=True)
        with contextlib.suppress(ssl.SSLCertVerificationError, ssl.SSLError):
            while True:
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    writer.write(going.read())
                    came.write(await reader.read(1 << 16))
        writer.write(going.read())
        writer.write_eof()
        await reader.read()
        writer.close()

    return serve


@pytest.mark.asyncio
@pytest.mark.parametrize("call", ["create", "list"])
async def test_an_alert_after_the_handshake_is_told_as_it_is_and_once(call):
    """A server that wants a client certificate says so when TLS 1.3's handshake is over for us."""
    authority = trustme.CA()
    wanting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(wanting)
    authority.configure_trust(wanting)
    wanting.verify_mode = ssl.CERT_REQUIRED
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    server = await asyncio.start_server(refusing(wanting), "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, agentry(url, ssl=ours) as client:
        with pytest.raises(TransportError, match="certificate required") as caught:
            await (
                client.api_keys.create("x")
                if call == "create"
                else client.api_keys.list().collect()
            )
    assert (caught.value.attempts, caught.value.lasting) == (1, True)
    assert "load_cert_chain" in str(caught.value)
    assert "not permitted" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_certificate_that_is_not_trusted_names_what_to_set(tls):
    """Not `ssl` alone: the variable helps who cannot change the program."""
    wire = Wire(answer(200, {}), tls=tls)
    async with wire, agentity(wire.url) as client:
        with pytest.raises(TransportError, match="SSL_CERT_FILE"):
            await client.api_keys.list().collect()


@pytest.mark.asyncio
@pytest.mark.parametrize("endpoint", [LOGIN, _REGISTER], ids=lambda each: each.path)
@pytest.mark.parametrize("is_lent", [False, True])
async def test_what_has_no_body_has_no_type(endpoint, is_lent):
    """Some servers refuse application/octet-stream, which aiohttp would say of nothing at all."""
    headers = {"Content-Type": "application/json"}
    async with Wire(answer(500)) as wire, aiohttp.ClientSession(headers=headers) as lent:
        async with agentity(wire.url, session=lent if is_lent else None) as client:
            with pytest.raises(RequestError):
                await client._session.call(endpoint, authorization=Secret("b"))
    assert "content-type" not in wire.requests[0].headers
    assert wire.requests[0].headers["content-length"] == "0"
