"""Law 1, of texts: what may have been done, and must not be done twice, is to be looked for."""

from __future__ import annotations

import asyncio

import pytest
from samples import NEW_KEY, agentity
from wire import Wire, answer, close, hang, raw, reset

from agentkeys import AgentKeysError, ClientClosedError, RetryPolicy, Secret, sync
from agentkeys.agentity import _REGISTER
from agentkeys.agentity.logins import _REFRESH

LOOK = "the service may have acted on it: check before you repeat the call"
INVITATIONS = ("later", "longer timeout", "asks to wait", "try again", "check that it is running")

TROUBLE = {
    "408": answer(408, {"message": "slow"}),
    "500": answer(500),
    "503 with a wait": answer(503, headers={"Retry-After": "7"}),
    "599": answer(599),
    "302": answer(302, headers={"Location": "/x"}),
    "304": answer(304),
    "418": answer(418),
    "reset": reset,
    "close": close,
    "cut short": answer(201, {"id": 1}, length=1000),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.2p1\r\n"),
    "too long a head": answer(201, NEW_KEY, {"X-Long": "x" * 70_000}),
    "silence": hang,
}
CALLS = {
    "create": lambda client: client.api_keys.create("x"),
    "register": lambda client: client._session.call(_REGISTER, json={}, authorization=Secret("b")),
    "refresh": lambda client: client._session.call(_REFRESH, json={}),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
async def test_what_may_have_been_done_is_to_be_looked_for(trouble, call):
    """To try again later would make a second key: every such text ends in what to do first."""
    async with Wire(trouble) as wire:
        async with agentity(wire.url, timeout=0.2 if trouble is hang else 10) as client:
            with pytest.raises(AgentKeysError) as caught:
                await call(client)
    text = str(caught.value)
    assert caught.value.applied == "maybe"
    assert text.endswith(LOOK)
    assert not [words for words in INVITATIONS if words in text]


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [500, 503])
async def test_what_may_be_repeated_is_to_be_tried_later(status):
    """The same trouble with a listing leaves nothing to look for."""
    async with Wire(answer(status)) as wire:
        async with agentity(wire.url, retry=RetryPolicy(tries=1)) as client:
            with pytest.raises(AgentKeysError, match="try again later") as caught:
                await client.api_keys.list().collect()
    assert LOOK not in str(caught.value)


@pytest.mark.asyncio
async def test_a_refusal_leaves_nothing_to_look_for():
    """After a 429 a create was not done, and may be done again."""
    async with Wire(answer(429, headers={"Retry-After": "90"})) as wire:
        async with agentity(wire.url) as client:
            with pytest.raises(AgentKeysError, match="asks to wait 90 s") as caught:
                await client.api_keys.create("x")
    assert LOOK not in str(caught.value)


@pytest.mark.asyncio
async def test_a_client_that_is_closed_under_a_create_says_so_too():
    """What the call came to is not known."""
    async with Wire(hang) as wire:
        client = agentity(wire.url)
        creating = asyncio.create_task(client.api_keys.create("x"))
        await wire.hung.wait()
        await client.close()
        with pytest.raises(ClientClosedError) as caught:
            await creating
    assert (caught.value.applied, str(caught.value).endswith(LOOK)) == ("maybe", True)


@pytest.mark.asyncio
async def test_a_blocking_create_that_is_closed_under_way_says_to_look():
    """It is closed from another thread."""
    async with Wire(hang) as wire:
        client = sync.AgentityClient("a-token", base_url=wire.url)
        creating = asyncio.create_task(asyncio.to_thread(client.api_keys.create, "x"))
        await wire.hung.wait()
        await asyncio.to_thread(client.close)
        with pytest.raises(ClientClosedError) as caught:
            await creating
    assert (caught.value.applied, str(caught.value).endswith(LOOK)) == ("maybe", True)
