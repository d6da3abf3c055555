"""A clock that a test moves: what follows it, and what does not."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import jwt
import pytest

from agentkeys.errors import InvalidArgumentError
from agentkeys.server import Clock, LocalService

START = datetime(2027, 1, 15, 8, tzinfo=UTC)


async def listed(api):
    answer = await api.send("GET", api.tenant, token=api.service.agentry_token)
    return {key["name"]: key for key in answer.json["api_keys"]}


@pytest.mark.asyncio
async def test_it_runs_on_from_where_it_was_put(service):
    """A service without a clock of its own tells the time of the machine, until it is moved."""
    clock = service.clock
    assert abs(clock() - time.time()) < 60
    clock.advance(3600)
    assert abs(clock() - time.time() - 3600) < 60
    clock.set(START)
    first = clock.now()
    assert START <= first < START + timedelta(minutes=1)
    while clock.now() == first:
        pass


@pytest.mark.asyncio
async def test_an_access_token_expires_when_the_clock_says_so(api_of):
    """Good until the last second of its life, refused after it; a new one is good."""
    async with LocalService(clock=START.timestamp, access_token_lifetime=900) as service:
        api = api_of(service)
        token = await api.access_token()
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (claims["iat"], claims["exp"]) == (START.timestamp(), START.timestamp() + 900)
        for seconds, status in ((899.999, 200), (0.001, 401), (-0.001, 200)):
            service.clock.advance(seconds)
            assert (await api.send("GET", api.account, token=token)).status == status
        service.clock.advance(3600)
        token = await api.access_token()
        assert (await api.send("GET", api.account, token=token)).status == 200


@pytest.mark.asyncio
async def test_a_refresh_token_expires_when_the_clock_says_so(api_of):
    """The day before it is exchanged, the day after it is refused."""
    async with LocalService(refresh_token_lifetime=30 * 86400) as service:
        api = api_of(service)
        for days, status in ((29, 200), (31, 401)):
            body = {"refreshToken": (await api.login()).json["refreshToken"]}
            service.clock.advance(days * 86400)
            assert (await api.send("POST", "/auth/token/refresh", json=body)).status == status


@pytest.mark.asyncio
async def test_the_times_of_keys_follow_it(api_of):
    """created_at, updated_at and used_at of both services are the clock's."""
    async with LocalService(clock=START.timestamp) as service:
        api = api_of(service)
        service.clock.advance(0.25)
        key = await api.create(api.tenant, name="a")
        headers = {"Authorization": f"Bearer {await api.access_token()}"}
        body = {"nickname": "a"}
        made = (await api.send("POST", api.account, headers=headers, json=body)).json
        service.clock.advance(60)
        await api.send("GET", api.tenant, token=key["api_key"])
        shown = (await listed(api))["a"]
        assert made["createdAt"] == made["updatedAt"] == "2027-01-15T08:00:00.250Z"
        assert shown["created_at"] == "2027-01-15T08:00:00.250Z"
        assert shown["used_at"] == "2027-01-15T08:01:00.250Z"


@pytest.mark.asyncio
async def test_a_clock_that_is_set_back_loses_no_key(api_of):
    """A key that was made earlier is listed behind; pages go on where they were."""
    async with LocalService(clock=START.timestamp) as service:
        api = api_of(service)
        for name in "ab":
            await api.create(api.tenant, name=name)
            service.clock.advance(10)
        first = await api.send("GET", f"{api.tenant}?limit=1", token=service.agentry_token)
        service.clock.set(START - timedelta(days=1))
        await api.create(api.tenant, name="c")
        assert list(await listed(api)) == ["b", "a", "c"]
        rest = f"{api.tenant}?page_token={first.json['next_page_token']}"
        rest = (await api.send("GET", rest, token=service.agentry_token)).json
        assert [key["name"] for key in rest["api_keys"]] == ["a", "c"]


@pytest.mark.asyncio
async def test_a_last_use_stays_the_last_when_the_clock_is_set_back(api_of):
    """used_at never goes back, written or not."""
    async with LocalService(clock=START.timestamp) as service:
        api = api_of(service)
        key = await api.create(api.tenant, name="a")
        await api.send("GET", api.tenant, token=key["api_key"])
        service.clock.advance(-3600)
        for _ in range(2):
            await api.send("GET", api.tenant, token=key["api_key"])
            assert (await listed(api))["a"]["used_at"] == "2027-01-15T08:00:00.000Z"
            await api.create(api.tenant, name="b")  # its commit takes the use along


@pytest.mark.asyncio
async def test_timeouts_do_not_follow_it(api_of):
    """A year passes for the keys, and no connection, body or interval has timed out."""
    async with LocalService(keepalive_timeout=60, body_timeout=60) as service:
        api = api_of(service)
        token = service.agentry_token
        head = f"POST {api.tenant} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        async with asyncio.timeout(10), api.connection() as (reader, writer):
            writer.write(f"{head}Content-Length: 12\r\n\r\n".encode())
            await service.requests.wait()
            service.clock.advance(365 * 86400)
            writer.write(b'{"name":"a"}')
            assert (await reader.readline()).startswith(b"HTTP/1.1 201")


@pytest.mark.asyncio
async def test_a_service_takes_a_clock_as_it_is():
    """Two services can share one; a plain function becomes its source."""
    clock = Clock(START.timestamp)
    assert LocalService(clock=clock).clock is LocalService(clock=clock).clock is clock
    assert LocalService(clock=START.timestamp).clock.now() == START


def test_a_clock_stands_where_it_was_put():
    """Moments are told apart from zones; what it shows is UTC."""
    clock = Clock(START.timestamp)
    assert (clock(), clock.now()) == (START.timestamp(), START)
    assert repr(clock) == "<Clock 2027-01-15T08:00:00.000Z>"
    clock.set(datetime(2030, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now() == datetime(2030, 1, 1, tzinfo=UTC)
    clock.advance(-0.5)
    clock.advance(1)
    assert clock.now() == datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    clock.set(datetime(1970, 1, 1, tzinfo=UTC))
    clock.set(datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    "move",
    [
        lambda clock: clock.advance(float("nan")),
        lambda clock: clock.advance(float("inf")),
        lambda clock: clock.advance(-1e10),
        lambda clock: clock.advance(1e12),
        lambda clock: clock.set(datetime(1969, 12, 31, tzinfo=UTC)),
        lambda clock: clock.set(datetime(9999, 1, 1, tzinfo=UTC)),
        lambda clock: clock.set(datetime(2030, 1, 1)),  # noqa: DTZ001 - that is what is refused
        lambda clock: clock.set(1_800_000_000),
    ],
)
def test_a_time_that_cannot_be_is_refused(move):
    """One sentence, and the clock stays where it was."""
    clock = Clock(START.timestamp)
    with pytest.raises(InvalidArgumentError):
        move(clock)
    assert clock.now() == START
