"""A blocking call stops the event loop of its thread, and so a service that runs in that loop."""

from __future__ import annotations

import asyncio
import os

import pytest
from samples import AT_ONCE
from wire import Wire, answer, hang

from agentkeys import ConfigurationError, DeadlineExceededError, PasswordLogin, sync
from agentkeys.server import LocalService

LISTING = answer(200, {"apiKeys": [], "api_keys": []})


def clients(service: LocalService, url: str):
    login = PasswordLogin(service.email, service.password)
    settings = {"base_url": url, "timeout": 20}
    return (
        sync.AgentryClient(service.agentry_token, **settings),
        sync.AgentityClient(login, **settings),
    )


@pytest.mark.skipif(
    os.environ.get("AGENTKEYS_TEST_LOOP") == "uvloop",
    reason="uvloop does not tell what it listens to: the deadline's sentence has to do",
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.asyncio
async def test_a_service_in_the_very_loop_is_named_at_once(host, tmp_path, monkeypatch):
    """Nothing is sent, and nobody waits: each kind of call says what to do instead."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    async with LocalService() as service:
        url = service.url.replace("127.0.0.1", host)
        agentry, agentity = clients(service, url)
        calls = [
            agentry.api_keys.list().collect,
            agentry.api_keys.list().first,
            lambda: list(agentry.api_keys.list()),
            lambda: agentity.api_keys.create("ci"),
            lambda: agentity.api_keys.delete(1),
            lambda: sync.issue(agentity.api_keys, "ci", into="memory:standstill"),
            lambda: sync.sweep(agentity.api_keys),
            lambda: sync.login(service.email, service.password, base_url=url),
            lambda: sync.register("a@example.com", "a password", name="a", base_url=url),
        ]
        for call in calls:
            with pytest.raises(
                ConfigurationError, match=r"event loop of this thread.*async client"
            ):
                call()
        assert service.requests.count == 0
        # From another thread it is a call like any other.
        assert await asyncio.to_thread(agentry.api_keys.list().collect) == []
        assert await asyncio.to_thread(agentity.api_keys.list().collect) == []


@pytest.mark.asyncio
async def test_a_service_in_another_loop_is_called_from_a_running_one(background):
    """As in a notebook; what else this loop listens to does not matter."""
    elsewhere = background.enter(Wire(LISTING))
    async with Wire(LISTING) as here:
        assert here.url != elsewhere.url
        with sync.AgentryClient("token", base_url=elsewhere.url) as client:
            assert client.api_keys.list().collect() == []


@pytest.mark.asyncio
async def test_a_deadline_in_a_running_loop_says_what_may_be_wrong(background):
    """Where nobody can know what the loop serves, as with uvloop, or through a forwarder."""
    silent = background.enter(Wire(hang))
    settings = {"base_url": silent.url, "retry": AT_ONCE, "timeout": 0.1}
    with sync.AgentryClient("token", **settings) as client:
        with pytest.raises(DeadlineExceededError, match="event loop of this thread stood still"):
            client.api_keys.list().collect()
        with pytest.raises(DeadlineExceededError) as caught:
            await asyncio.to_thread(client.api_keys.list().collect)
    assert "event loop" not in str(caught.value)


def test_without_a_running_loop_nothing_is_said(wire):
    """A timeout is then no more than that."""
    with sync.AgentryClient("token", base_url=wire(hang).url, timeout=0.1) as client:
        with pytest.raises(DeadlineExceededError) as caught:
            client.api_keys.list().collect()
    assert "event loop" not in str(caught.value)
