"""What belongs to one call reaches no other: neither one that waits for it nor one it makes."""

from __future__ import annotations

import asyncio

import pytest
from samples import NEW_KEY, agentity, jwt
from wire import Seen, Wire, answer, hang

from agentkeys import BearerToken, Secret, TokenPair, issue

pytestmark = pytest.mark.asyncio

LISTING, CREATED, DELETED = answer(200, {"apiKeys": []}), answer(201, NEW_KEY), answer(200, {})


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))


async def turns(count: int = 10) -> None:
    """Let what is ready run, and what that makes ready."""
    for _ in range(count):
        await asyncio.sleep(0)


class Refusing:
    """Answers the first refresh with 429, once its gate is open, and the second one with a pair."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.refreshes = 0

    def __call__(self, seen: Seen):
        if not seen.target.endswith("/refresh"):
            return LISTING
        self.refreshes += 1
        if self.refreshes == 1:
            return self.refusal
        return answer(200, {"accessToken": jwt("new"), "refreshToken": "refresh-2"})

    async def refusal(self, writer: asyncio.StreamWriter) -> None:
        await self.gate.wait()
        await answer(429, headers={"Retry-After": "0.05"})(writer)

    refusal.is_reply = True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "lead",
    [
        lambda keys: keys.create("ci"),
        lambda keys: issue(keys, "ci", into="memory:lead"),
        lambda keys: issue(keys, "ci", into="memory:lead-exact", exact_name=True),
        lambda keys: keys.delete(1),
    ],
    ids=["create", "issue", "issue, exact name", "delete"],
)
async def test_the_end_of_who_leads_a_renewal_takes_nothing_from_who_waits_for_it(lead):
    """The refresh is tried again for the others, though its first caller was cancelled."""
    reply = Refusing()
    pair = TokenPair(jwt("old", iat=0, exp=1e-9), "refresh-1")
    async with Wire(reply) as wire, agentity(wire.url, pair) as client:
        leading = asyncio.create_task(lead(client.api_keys))
        await wire.arrived.wait()
        waiting = asyncio.create_task(client.api_keys.list().collect())
        await turns()
        leading.cancel()
        await turns()
        reply.gate.set()
        assert await waiting == []
        with pytest.raises(asyncio.CancelledError):
            await leading
    assert reply.refreshes == 2


async def test_a_create_that_credentials_make_is_cancelled_as_one_of_its_own():
    """Its key is deleted, and the create that wanted a token sends nothing."""
    arrived, cancelled = asyncio.Event(), asyncio.Event()

    class Vault(BearerToken):
        def current(self):
            return None

        async def renew(self, caller, refused, timeout):
            made = await other.api_keys.create("one of a vault's own")
            return Secret(made.key.reveal())

    async def reply(writer):
        arrived.set()
        await cancelled.wait()
        await CREATED(writer)

    reply.is_reply = True
    async with Wire(reply, DELETED) as theirs, Wire(CREATED) as ours:
        async with agentity(theirs.url) as other, agentity(ours.url, Vault("-")) as client:
            call = asyncio.create_task(client.api_keys.create("ci"))
            await arrived.wait()
            call.cancel()
            asyncio.get_running_loop().call_soon(cancelled.set)
            with pytest.raises(asyncio.CancelledError):
                await call
    assert [seen.method for seen in theirs.requests] == ["POST", "DELETE"]
    assert ours.requests == []


class Wrapped:
    """A collection that is none of ours, but calls one."""

    def __init__(self, keys) -> None:
        self._keys = keys
        self.scope, self.timeout, self.retry = keys.scope, keys.timeout, keys.retry
        self.list, self.delete = keys.list, keys.delete

    async def create(self, name, *, timeout=None):
        return await self._keys.create(name, timeout=timeout)


async def test_an_issue_by_keys_of_somebody_elses_keeps_its_note_when_it_is_cancelled(tmp_path):
    """Nothing is known of how far their create had come, so a sweep has to look."""
    async with Wire(LISTING, hang) as wire, agentity(wire.url) as client:
        issuing = issue(Wrapped(client.api_keys), "ci", into="memory:wrapped", exact_name=True)
        call = asyncio.create_task(issuing)
        await wire.hung.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert [seen.method for seen in wire.requests] == ["GET", "POST"]
    assert len(list(tmp_path.rglob("*.attempt"))) == 1
