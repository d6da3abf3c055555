"""Units of the transport, on answers that aioresponses makes up."""

from __future__ import annotations

import aiohttp
import pytest
from samples import KEY, NEW_INBOX_KEY, NEW_KEY, TOKEN, agentity, agentry
from wire import Wire, answer
from yarl import URL

import agentkeys
from agentkeys import ConflictError, RetryPolicy, TransportError

pytestmark = pytest.mark.asyncio

URL_OF_KEYS = "https://agentity.test/auth/api-keys"


async def test_users_can_fake_the_service_with_aioresponses(mocked):
    """Tests of others replace `ClientSession._request`: retries and errors still work above it."""
    mocked.get(URL_OF_KEYS, status=503)
    mocked.get(URL_OF_KEYS, exception=aiohttp.ServerDisconnectedError())
    mocked.get(URL_OF_KEYS, payload={"apiKeys": [KEY]})
    async with agentity("https://agentity.test") as client:
        assert [key.id async for key in client.api_keys.list()] == [42]


async def test_a_faked_lost_answer_leaves_a_create_uncertain(mocked):
    """A connection that broke may have carried the create, faked or not."""
    mocked.post(URL_OF_KEYS, exception=aiohttp.ServerDisconnectedError())
    async with agentity("https://agentity.test") as client:
        with pytest.raises(TransportError) as caught:
            await client.api_keys.create("x")
    assert (caught.value.applied, caught.value.attempts) == ("maybe", 1)


async def test_a_timeout_of_aiohttps_own_is_a_transport_error(mocked):
    """Only our own deadline is a DeadlineExceededError."""
    mocked.post(URL_OF_KEYS, exception=TimeoutError())
    async with agentity("https://agentity.test") as client:
        with pytest.raises(TransportError):
            await client.api_keys.create("x")


async def test_a_faked_error_is_an_error(mocked):
    """The service's words come through."""
    mocked.post(URL_OF_KEYS, status=409, payload={"message": "taken"})
    async with agentity("https://agentity.test") as client:
        with pytest.raises(ConflictError, match="taken"):
            await client.api_keys.create("x")


async def test_a_request_is_made_as_the_laws_want_it(mocked):
    """No redirects, a JSON body, and no token: that is put on where a fake has no part any more."""
    mocked.post(URL_OF_KEYS, status=201, payload=NEW_KEY)
    async with agentity("https://agentity.test") as client:
        await client.api_keys.create("x")
    sent = mocked.requests["POST", URL(URL_OF_KEYS)][0].kwargs
    assert TOKEN not in repr(sent)
    assert "Authorization" not in (sent.get("headers") or {})
    assert sent["allow_redirects"] is False
    assert sent["data"].content_type == "application/json"


@pytest.mark.parametrize("is_lent", [False, True])
async def test_what_every_request_bears(is_lent):
    """Who we are, what we want, what we send; and nothing else."""
    async with Wire(answer(201, NEW_KEY)) as wire, aiohttp.ClientSession() as lent:
        async with agentity(wire.url, session=lent if is_lent else None) as client:
            await client.api_keys.create("x")
    headers = wire.requests[0].headers
    assert headers["user-agent"].startswith(f"agentkeys/{agentkeys.__version__} ")
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["accept"] == "application/json"
    assert headers["content-type"] == "application/json"
    assert set(headers) == {
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }


async def test_an_encoded_address_stays_encoded(mocked):
    """A slash or a percent sign in an id is not folded into the path."""
    url = "https://agentry.test/human/v0/inboxes/a%2F%252e%40b/api-keys"
    mocked.post(URL(url, encoded=True), status=201, payload=NEW_INBOX_KEY)
    async with agentry("https://agentry.test", retry=RetryPolicy(tries=1)) as client:
        assert (await client.inbox("a/%2e@b").api_keys.create("ci")).id == "key_1"
