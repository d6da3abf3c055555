"""Law 4 on the local service: tokens that end, refreshes that are lost, used up or refused."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import threading
import time
from collections import Counter
from typing import Any

import pytest
from fault_grid import kinds, whens
from hypothesis import given
from hypothesis import strategies as st
from samples import agentity, jwt
from virtual_time import at_work, run

from agentkeys import (
    AgentKeysError,
    AuthenticationError,
    PasswordLogin,
    Secret,
    TokenPair,
    sync,
)
from agentkeys.agentity import login as log_in
from agentkeys.credentials import Token
from agentkeys.server import LocalService
from agentkeys.server.faults import REFRESH, Reset

pytestmark = pytest.mark.slow

CALLS = 200
LOGIN_ROUTE, REFRESH_ROUTE = "POST /auth/token", "POST /auth/token/refresh"


def running() -> LocalService:
    """Return a service for a loop whose clock takes no time."""
    return LocalService(middlewares=[at_work])


def login(service: LocalService | sync.LocalService) -> PasswordLogin:
    return PasswordLogin(service.email, service.password)


def renewals(service: LocalService | sync.LocalService) -> tuple[int, int]:
    """Return how many logins and how many refreshes have come."""
    routes = Counter(seen.route for seen in service.requests)
    return routes[LOGIN_ROUTE], routes[REFRESH_ROUTE]


@pytest.mark.asyncio
@pytest.mark.parametrize("is_lost", [False, True], ids=["refresh", "refresh that is lost"])
async def test_two_hundred_calls_share_one_renewal(is_lost):
    """However many meet 401 at once, one refreshes; if that is lost, one logs in."""
    async with LocalService() as service, agentity(service.url, login(service)) as client:
        keys = client.api_keys
        made = [await keys.create(f"old {n}") for n in range(CALLS // 4)]
        service.clock.advance(3600)
        service.requests.clear()
        if is_lost:
            service.faults.add(REFRESH, Reset(), when="after")
        await asyncio.gather(
            *(keys.create(f"new {n}") for n in range(CALLS // 4)),
            *(keys.list().first() for _ in range(CALLS // 2)),
            *(keys.delete(key.id) for key in made),
        )
        assert renewals(service) == (int(is_lost), 1)
        assert len(await keys.list().collect()) == CALLS // 4


def test_calls_in_two_loops_share_one_refresh():
    """And so do those of two threads, with a loop each."""
    with sync.LocalService() as service:
        client = agentity(service.url, login(service))
        asyncio.run(client.api_keys.list().first())
        service.clock.advance(3600)
        service.requests.clear()
        both = threading.Barrier(2)

        async def work() -> None:
            both.wait()
            await asyncio.gather(*(client.api_keys.list().first() for _ in range(CALLS // 2)))

        threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers = Counter(seen.status for seen in service.requests if seen.method == "GET")
        assert answers[200] == CALLS
        assert renewals(service) == (0, 1)
        asyncio.run(client.close())


@kinds
@whens
def test_a_refresh_that_fails_in_any_way_falls_back_to_the_login(kind, when):
    """Lost, refused, garbled or never answered: the call succeeds within its time."""

    async def test() -> None:
        async with running() as service, agentity(service.url, login(service)) as client:
            await client.api_keys.list().first()
            service.clock.advance(3600)
            service.requests.clear()
            fault = service.faults.add(REFRESH, kind, when=when, times="always")
            await client.api_keys.list().first()
            assert fault.hits
            logins, _ = renewals(service)
            assert logins <= 1
            await client.api_keys.list().first()
            assert renewals(service)[0] == logins

    run(test())


@kinds
@whens
def test_a_pair_whose_refresh_fails_is_not_sent_for_ever(kind, when):
    """Without a password there is an error: one refresh in a call, and it is tried if it may."""

    async def test() -> None:
        async with running() as service:
            tokens = await log_in(service.email, service.password, base_url=service.url)
            pair = TokenPair("ended", tokens.refresh_token)
            async with agentity(service.url, pair) as client:
                fault = service.faults.add(REFRESH, kind, when=when)
                first = await outcome(client.api_keys.list().first())
                assert fault.hits == 1
                service.requests.clear()
                second = await outcome(client.api_keys.list().first())
                assert renewals(service) == (0, 0 if first is None else 1)
                is_used_up = when == "after" and first is not None
                assert isinstance(second, AuthenticationError) is is_used_up

    run(test())


async def outcome(call: Any) -> AgentKeysError | None:
    try:
        await call
    except AgentKeysError as error:
        return error.with_traceback(None)
    return None


@pytest.mark.asyncio
async def test_a_refresh_token_that_another_process_used_up():
    """With the password, the session goes on; without, the error says so and nothing is sent on."""
    async with LocalService() as service:
        ours = login(service)
        async with agentity(service.url, ours) as client:
            await client.api_keys.list().first()
            stolen = ours._refresh_token
            async with agentity(service.url, TokenPair("ended", stolen)) as other:
                await other.api_keys.list().first()
            service.clock.advance(3600)
            service.requests.clear()
            await client.api_keys.list().first()
            assert renewals(service) == (1, 1)
        async with agentity(service.url, TokenPair("ended", stolen)) as late:
            service.requests.clear()
            with pytest.raises(AuthenticationError, match="refresh"):
                await late.api_keys.create("x")
            assert [seen.status for seen in service.requests] == [401, 401]


@pytest.mark.asyncio
async def test_a_401_that_no_renewal_cures_costs_one_refresh_a_call():
    """Somebody else's key is refused each time, and the session is none the worse for it."""
    async with LocalService() as service:
        await service.add_account("other@example.com", "pw")
        others = agentity(service.url, PasswordLogin("other@example.com", "pw"))
        async with others, agentity(service.url, login(service)) as client:
            key = await others.api_keys.create("theirs")
            await client.api_keys.list().first()
            service.requests.clear()
            for n in range(1, 6):
                with pytest.raises(AuthenticationError) as caught:
                    await client.api_keys.delete(key.id)
                assert (caught.value.applied, caught.value.attempts) == ("no", 2)
                assert renewals(service) == (0, n)
            await client.api_keys.list().first()
            assert renewals(service) == (0, 5)
            assert [each.id async for each in others.api_keys.list()] == [key.id]


@pytest.mark.asyncio
@pytest.mark.parametrize("off_by", [3600, -3600, 10 * 365 * 86400])
async def test_a_clock_that_is_off_costs_no_refresh(off_by):
    """The service's clock and ours need not agree."""
    service = LocalService()
    service.clock.advance(off_by)
    async with service, agentity(service.url, login(service)) as client:
        for _ in range(20):
            await client.api_keys.list().first()
        assert renewals(service) == (1, 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("1.e-", max_size=4),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["exp", "iat", "nbf", "sub"]), JSON))
def test_whatever_a_jwt_claims_it_is_a_token(claims):
    """Any JSON as `exp` and `iat` gives a time of renewal to come, or none."""
    begun = time.monotonic()
    token = Token.of_jwt(Secret(jwt(**claims)))
    assert token.renew_at >= begun
    if "exp" not in claims or "iat" not in claims:
        assert token.renew_at == math.inf


@given(JSON | st.binary())
def test_whatever_a_payload_is_it_is_a_token(payload):
    """It need not be an object, nor JSON."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    encoded = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert Token.of_jwt(Secret(f"a.{encoded}.c")).renew_at > 0
