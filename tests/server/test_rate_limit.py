"""A service that answers so many requests a second."""

from __future__ import annotations

import pytest
from samples import agentry

from agentkeys import InvalidArgumentError, RateLimitError, RetryPolicy, sync
from agentkeys.server import LocalService
from agentkeys.server.ground.rate import Rate

ONCE = RetryPolicy(tries=1)


def test_a_bucket_holds_what_comes_in_a_second():
    """So many at once, then one an interval; a refusal says when, and takes nothing."""
    now = 5.0
    rate = Rate(4, lambda: now)
    assert [rate.take() for _ in range(6)] == [0, 0, 0, 0, 0.25, 0.25]
    now += 0.25
    assert [rate.take(), rate.take()] == [0, 0.25]
    now += 3600
    assert [rate.take() for _ in range(5)] == [0, 0, 0, 0, 0.25]
    rate.refill()
    assert rate.take() == 0


def test_a_slow_rate_has_one_at_once():
    """One in ten seconds."""
    now = 5.0
    rate = Rate(0.1, lambda: now)
    assert [rate.take(), rate.take()] == [0, 10]


@pytest.mark.asyncio
async def test_one_more_is_answered_429():
    """In the record as well; of Agentity and Agentry together."""
    async with LocalService(rate_limit=0.01) as service:
        async with agentry(service.url, service.agentry_token, retry=ONCE) as client:
            assert await client.api_keys.list().collect() == []
            with pytest.raises(RateLimitError, match="started with a rate limit") as caught:
                await client.api_keys.list().collect()
            assert caught.value.retry_after == 100
            await service.reset()
            assert await client.api_keys.list().collect() == []
        assert [each.status for each in service.requests] == [200]


@pytest.mark.asyncio
async def test_what_belongs_to_neither_service_is_not_limited(api_of):
    """The probes, the document and unknown paths."""
    async with LocalService(rate_limit=0.001) as service:
        api = api_of(service)
        assert (await api.send("GET", "/agent/v0/api-keys")).status == 401
        assert (await api.send("GET", "/agent/v0/api-keys")).status == 429
        for path, status in (
            ("/healthz", 200),
            ("/readyz", 200),
            ("/openapi.json", 200),
            ("/", 404),
        ):
            assert (await api.send("GET", path)).status == status


@pytest.mark.asyncio
async def test_a_client_with_a_rate_below_it_never_meets_it():
    """A client that keeps a rate of its own below the limit never meets it."""
    async with LocalService(rate_limit=1000) as service:
        async with agentry(service.url, service.agentry_token, rate=500) as client:
            for _ in range(20):
                await client.api_keys.list().collect()
        assert {each.status for each in service.requests} == {200}


def test_the_blocking_service_has_it():
    """Under the same name."""
    with sync.LocalService(rate_limit=0.01) as service:
        with sync.AgentryClient(service.agentry_token, base_url=service.url, retry=ONCE) as client:
            client.api_keys.list().collect()
            with pytest.raises(RateLimitError):
                client.api_keys.list().collect()


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "200", 10**400, 1e-309])
def test_a_limit_that_cannot_be_is_refused(limit):
    """Before anything listens."""
    with pytest.raises(InvalidArgumentError, match="rate_limit"):
        LocalService(rate_limit=limit)
