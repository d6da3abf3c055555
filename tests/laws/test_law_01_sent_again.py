"""Law 1: what is not idempotent is sent again only if the first provably was not acted on."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from samples import INBOX_KEY, KEY, NEW_INBOX_KEY, NEW_KEY, agentity, agentry, jwt
from wire import Wire, answer, close, hang, raw, reset

from agentkeys import (
    APIError,
    BadRequestError,
    ClientClosedError,
    DecodeError,
    NotFoundError,
    PasswordLogin,
    RateLimitError,
    RequestError,
    RetryPolicy,
    ServerError,
    TransportError,
)
from agentkeys.agentity import register

pytestmark = pytest.mark.asyncio

UNCERTAIN = {
    "408": answer(408),
    "500": answer(500),
    "502": answer(502),
    "503": answer(503),
    "504": answer(504),
    "reset": reset,
    "close": close,
    "half an answer": answer(201, NEW_KEY, length=1000),
    "half a header": raw(b"HTTP/1.1 201 Created\r\nContent-"),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
}
uncertain = pytest.mark.parametrize("trouble", UNCERTAIN.values(), ids=UNCERTAIN.keys())


@uncertain
async def test_a_create_is_sent_once(trouble):
    """A create whose answer is lost or uncertain is not sent again, and says "maybe"."""
    async with Wire(trouble, answer(201, NEW_KEY)) as wire, agentity(wire.url) as client:
        with pytest.raises(RequestError) as caught:
            await client.api_keys.create("production-agent")
    assert len(wire.requests) == 1
    assert caught.value.applied == "maybe"
    assert caught.value.attempts == 1


@uncertain
async def test_registering_is_sent_once(trouble):
    """So is opening an account."""
    async with Wire(trouble, answer(201, NEW_KEY)) as wire:
        with pytest.raises(RequestError) as caught:
            await register("me@example.com", "pw", name="Me", base_url=wire.url)
    assert len(wire.requests) == 1
    assert caught.value.applied == "maybe"


@uncertain
async def test_a_refresh_is_sent_once_and_then_the_login_is_tried(trouble):
    """A refresh whose answer is lost may have used up its token: log in instead."""
    pair = {"accessToken": jwt("1"), "refreshToken": "r1"}
    again = {"accessToken": jwt("2"), "refreshToken": "r2"}
    login = PasswordLogin("me@example.com", "pw")
    async with (
        Wire(
            answer(200, pair),
            answer(200, {"apiKeys": []}),
            answer(401),
            trouble,
            answer(200, again),
            answer(200, {"apiKeys": []}),
        ) as wire,
        agentity(wire.url, login) as client,
    ):
        assert await client.api_keys.list().collect() == []
        assert await client.api_keys.list().collect() == []
    assert [seen.target for seen in wire.requests] == [
        "/auth/token",
        "/auth/api-keys",
        "/auth/api-keys",
        "/auth/token/refresh",
        "/auth/token",
        "/auth/api-keys",
    ]


@uncertain
async def test_a_list_is_sent_again(trouble):
    """A GET does no harm twice."""
    async with Wire(trouble, answer(200, {"apiKeys": [KEY]})) as wire, agentity(wire.url) as client:
        assert [key.id async for key in client.api_keys.list()] == [42]
    assert len(wire.requests) == 2


@uncertain
async def test_a_login_is_sent_again(trouble):
    """Logging in twice does no harm either."""
    login = PasswordLogin("me@example.com", "pw")
    pair = answer(200, {"accessToken": jwt(), "refreshToken": "r"})
    async with (
        Wire(trouble, pair, answer(201, NEW_KEY)) as wire,
        agentity(wire.url, login) as client,
    ):
        await client.api_keys.create("production-agent")
    assert [seen.target for seen in wire.requests].count("/auth/token") == 2


@uncertain
async def test_a_delete_that_finds_nothing_after_an_uncertain_try_has_succeeded(trouble):
    """The 404 after a lost answer is our own work."""
    async with Wire(trouble, answer(404)) as wire, agentity(wire.url) as client:
        await client.api_keys.delete(42)
    assert len(wire.requests) == 2


async def test_a_delete_that_finds_nothing_after_a_refusal_has_failed():
    """After a 429 the 404 is none of our work: nothing was deleted."""
    async with Wire(answer(429), answer(404)) as wire, agentity(wire.url) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.api_keys.delete(42)
    assert caught.value.applied == "no"
    assert caught.value.attempts == 2


async def test_a_delete_that_finds_nothing_at_once_has_failed():
    """A 404 to the first try is reported, once."""
    async with Wire(answer(404, {"message": "no such key"})) as wire, agentity(wire.url) as client:
        with pytest.raises(NotFoundError):
            await client.api_keys.delete(42)
    assert len(wire.requests) == 1


async def test_a_refusal_after_an_uncertain_try_leaves_it_uncertain():
    """An error tells what the whole call came to, not the last try alone."""
    async with Wire(reset, answer(403)) as wire, agentity(wire.url) as client:
        with pytest.raises(APIError) as caught:
            await client.api_keys.delete(42)
    assert (caught.value.applied, caught.value.attempts) == ("maybe", 2)


@pytest.mark.parametrize("refusal", [429])
async def test_a_create_that_was_refused_is_sent_again(refusal):
    """A 429 was not acted on."""
    async with Wire(answer(refusal), answer(201, NEW_KEY)) as wire, agentity(wire.url) as client:
        assert (await client.api_keys.create("production-agent")).id == 42
    assert [seen.json for seen in wire.requests] == [{"nickname": "production-agent"}] * 2


async def test_a_create_that_never_connected_is_tried_again_and_was_not_applied():
    """Where nothing listens, nothing was sent: every try is made, and `applied` is "no"."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with agentity(url) as client:
            with pytest.raises(TransportError, match="could not connect") as caught:
                await client.api_keys.create("production-agent")
    assert (caught.value.applied, caught.value.attempts) == ("no", 4)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
async def test_a_refusal_is_not_tried_again(status):
    """What the service refuses, it refuses for good; and it says that it did nothing."""
    async with Wire(answer(status)) as wire, agentity(wire.url) as client:
        with pytest.raises(APIError) as caught:
            await client.api_keys.create("production-agent")
    assert len(wire.requests) == 1
    assert (caught.value.status, caught.value.applied) == (status, "no")


async def test_a_broken_pooled_connection_does_not_resend_behind_our_back():
    """One try is one request: aiohttp's own silent second one is off."""
    async with Wire(answer(200, {"message": "ok"}), reset) as wire:
        async with agentity(wire.url, retry=RetryPolicy(tries=1)) as client:
            await client.api_keys.delete(1)
            with pytest.raises(TransportError) as caught:
                await client.api_keys.delete(2)
    assert [seen.target for seen in wire.requests] == ["/auth/api-keys/1", "/auth/api-keys/2"]
    assert caught.value.attempts == 1


async def test_a_policy_of_one_try_sends_once():
    """`RetryPolicy(tries=1)` never tries again."""
    async with Wire(answer(503)) as wire, agentity(wire.url, retry=RetryPolicy(tries=1)) as client:
        with pytest.raises(ServerError):
            await client.api_keys.list().collect()
    assert len(wire.requests) == 1


async def test_trouble_that_stays_is_reported_after_four_tries():
    """Trouble that stays is reported after `tries` requests."""
    async with Wire(answer(503)) as wire, agentity(wire.url) as client:
        with pytest.raises(ServerError) as caught:
            await client.api_keys.list().collect()
    assert len(wire.requests) == caught.value.attempts == 4


async def test_a_refusal_that_stays_is_reported():
    """A create that meets 429 each time was still not applied."""
    async with Wire(answer(429)) as wire, agentity(wire.url) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.api_keys.create("production-agent")
    assert len(wire.requests) == 4
    assert caught.value.applied == "no"


async def test_an_unusable_success_is_not_tried_again():
    """A 2xx that cannot be read was acted on, and says so."""
    async with Wire(answer(201, {"id": 42})) as wire, agentity(wire.url) as client:
        with pytest.raises(DecodeError) as caught:
            await client.api_keys.create("production-agent")
    assert len(wire.requests) == 1
    assert caught.value.applied == "yes"


async def test_what_a_status_means_at_one_endpoint_is_not_said_of_others():
    """Only Agentity answers 401 to who deletes the key of another account."""
    async with Wire(answer(401)) as wire, agentry(wire.url) as client:
        with pytest.raises(APIError) as caught:
            await client.api_keys.delete("key_1")
    assert "account" not in str(caught.value)


async def test_agentrys_keys_follow_the_same_law():
    """The law is the session's, not a service's."""
    async with Wire(reset, answer(201, NEW_INBOX_KEY)) as wire, agentry(wire.url) as client:
        keys = client.inbox("support@acme.to").api_keys
        with pytest.raises(TransportError):
            await keys.create("ci")
        await keys.create("ci")
    async with Wire(reset, answer(404)) as wire, agentry(wire.url) as client:
        await client.agent.pod("pod_1").api_keys.delete("key_1")
    page = answer(200, {"api_keys": [INBOX_KEY], "count": 1})
    async with Wire(reset, page) as wire, agentry(wire.url) as client:
        assert (await client.api_keys.list().collect())[0].name == "ci"


async def test_a_service_that_says_400_was_heard():
    """The service's own words are in the error."""
    body = {"name": "ValidationError", "errors": [{"code": "too_small", "path": ["name"]}]}
    async with Wire(answer(400, body)) as wire, agentry(wire.url) as client:
        with pytest.raises(BadRequestError) as caught:
            await client.api_keys.create("ci")
    assert caught.value.code == "ValidationError"
    assert caught.value.errors == ({"code": "too_small", "path": ["name"]},)


async def test_what_came_on_an_idle_connection_is_no_answer():
    """Bytes that a server sent unasked are not taken for the answer to the next request."""
    came = asyncio.Event()

    async def chatty(writer):
        await answer(201, {**NEW_KEY, "id": 1})(writer)
        await writer.drain()
        await came.wait()
        await answer(201, {**NEW_KEY, "id": 666})(writer)
        await writer.drain()

    chatty.is_reply = True
    async with Wire(chatty, answer(201, {**NEW_KEY, "id": 2})) as wire:
        async with agentity(wire.url) as client:
            assert (await client.api_keys.create("one")).id == 1
            came.set()
            stray = client._session._http._own
            (held,) = stray._held.values()
            (pooled,) = (each for pool in held.resource.connector._conns.values() for each in pool)
            while not pooled[0].should_close:  # noqa: ASYNC110  # a socket has no event
                await asyncio.sleep(0)
            assert (await client.api_keys.create("two")).id == 2
    assert len(wire.requests) == 2


async def test_a_middleware_that_replaces_the_body_does_not_make_applied_lie():
    """With a lent session a create that was on its way may have been acted on."""

    async def signing(request, handler):
        await request.update_body(await request.body.as_bytes())
        return await handler(request)

    async with Wire(hang) as wire, aiohttp.ClientSession(middlewares=(signing,)) as lent:
        client = agentity(wire.url, session=lent)
        with pytest.raises(RequestError) as caught:
            await client.api_keys.create("x", timeout=1)
    assert len(wire.requests) == 1
    assert caught.value.applied == "maybe"


async def test_closing_between_two_tries_does_not_make_applied_lie():
    """A delete that met trouble and then a closed client may have been acted on."""
    async with Wire(answer(503, headers={"Retry-After": "0.2"})) as wire:
        client = agentity(wire.url)
        call = asyncio.create_task(client.api_keys.delete(1))
        await wire.arrived.wait()
        await client.close()
        with pytest.raises((ClientClosedError, RequestError)) as caught:
            await call
    assert caught.value.applied == "maybe"


async def test_a_certificate_that_is_not_trusted_is_not_tried_again(tls):
    """It will not be trusted in a second: the error comes at once, and nothing was applied."""
    wire = Wire(answer(200, {"apiKeys": []}), tls=tls)
    async with wire, agentity(wire.url) as client:
        with pytest.raises(TransportError, match="is not trusted") as caught:
            await client.api_keys.list().collect()
    assert (caught.value.applied, caught.value.attempts) == ("no", 1)
    assert wire.requests == []


async def test_a_proxy_that_wants_another_password_is_asked_once(tls):
    """The same password will not do in a second either."""
    async with Wire(answer(407)) as proxy, Wire(tls=tls) as wire:
        async with agentity(wire.url, proxy=proxy.url) as client:
            with pytest.raises(TransportError, match="407") as caught:
                await client.api_keys.list().collect()
    assert (caught.value.applied, caught.value.attempts) == ("no", 1)
    assert len(proxy.requests) == 1
