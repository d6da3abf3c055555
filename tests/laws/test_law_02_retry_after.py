"""Law 2: Retry-After is obeyed if it fits the deadline; otherwise full jitter."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import agentity
from wire import Wire, answer

from agentkeys import (
    InvalidArgumentError,
    NotFoundError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
)

EMPTY = answer(200, {"apiKeys": []})
# Waits that a test would notice: whoever does not obey the header waits for minutes.
SLOW = RetryPolicy(base=600.0, cap=600.0)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def http_date(when: datetime) -> str:
    return format_datetime(when, usegmt=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "0"},
        {"Retry-After": "-5"},
        {"Retry-After": "0.001"},
        {"Retry-After": http_date(NOON), "Date": http_date(NOON)},
        {"Retry-After": http_date(NOON - timedelta(days=1)), "Date": http_date(NOON)},
        {"Retry-After": http_date(datetime.now(UTC) - timedelta(hours=1))},
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(headers, status):
    """0, a fraction and HTTP-dates that have come replace the jitter."""
    async with Wire(answer(status, headers=headers), EMPTY) as wire:
        async with agentity(wire.url, retry=SLOW, timeout=60) as client:
            assert await client.api_keys.list().collect() == []
    assert len(wire.requests) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "61"}, 61),
        ({"Retry-After": http_date(NOON + timedelta(hours=1)), "Date": http_date(NOON)}, 3600),
        # RFC 9110, 5.6.7: the two obsolete forms of a date are to be read too.
        ({"Retry-After": "Monday, 23-Nov-26 13:00:00 GMT", "Date": http_date(NOON)}, 3600),
        ({"Retry-After": "Mon Nov 23 13:00:00 2026", "Date": http_date(NOON)}, 3600),
    ],
)
async def test_a_wait_that_does_not_fit_is_reported_at_once(headers, seconds):
    """The error says when to come back, and nothing waits for it."""
    begun = time.monotonic()
    async with Wire(answer(429, headers=headers)) as wire, agentity(wire.url) as client:
        with pytest.raises(RateLimitError, match=f"{seconds} s") as caught:
            await client.api_keys.list(timeout=60).collect()
    assert time.monotonic() - begun < 30
    assert caught.value.retry_after == seconds
    assert len(wire.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "1e999", "Mon, 99 Foo 2026"])
async def test_nonsense_is_no_retry_after(value):
    """What is neither seconds nor a date is ignored."""
    async with Wire(answer(503, headers={"Retry-After": value}), EMPTY) as wire:
        async with agentity(wire.url) as client:
            await client.api_keys.list().collect()
    assert len(wire.requests) == 2


@pytest.mark.asyncio
async def test_a_jitter_that_does_not_fit_is_not_waited_for():
    """A backoff beyond the deadline would only turn a clear error into a late one."""
    begun = time.monotonic()
    async with Wire(answer(503)) as wire:
        async with agentity(wire.url, retry=RetryPolicy(base=1e9, cap=1e9)) as client:
            with pytest.raises(ServerError):
                await client.api_keys.list(timeout=30).collect()
    assert time.monotonic() - begun < 15


def error(kind, **attributes):
    status = {"status": 429} if kind is RateLimitError else {"status": 503}
    if kind is TransportError:
        return kind("lost", **attributes)
    return kind("it failed", **status, **attributes)


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True), st.floats(0, 10), st.floats(0, 10))
def test_jitter_is_full(tried, chance, base, cap):
    """Between 0 and a bound that doubles with each try and stops at `cap`."""
    policy = RetryPolicy(tries=1000, base=base, cap=cap)
    wait = policy.wait(error(ServerError), tried=tried, idempotent=True, chance=chance)
    assert wait == pytest.approx(min(cap, base * 2.0 ** (tried - 1)) * chance)


def test_a_policy_waits_as_documented_by_default():
    """Four tries, at most 0.5, 1 and 2 seconds apart."""
    policy = RetryPolicy()
    waits = [
        policy.wait(error(ServerError), tried=n, idempotent=True, chance=1.0) for n in range(1, 5)
    ]
    assert waits == [0.5, 1.0, 2.0, None]


@pytest.mark.parametrize(
    ("failure", "idempotent", "again"),
    [
        (error(RateLimitError), False, True),
        (error(ServerError), False, False),
        (error(ServerError), True, True),
        (error(TransportError, applied="no"), False, True),
        (error(TransportError, applied="maybe"), False, False),
        (error(TransportError, applied="maybe"), True, True),
        (NotFoundError("none", status=404), True, False),
        (ServerError("no", status=501), True, False),
    ],
)
def test_who_may_try_again(failure, idempotent, again):
    """The policy is a pure function of the error and of what the call may do twice."""
    wait = RetryPolicy().wait(failure, tried=1, idempotent=idempotent, chance=0.5)
    assert (wait is not None) is again


@pytest.mark.parametrize(
    "arguments",
    [
        {"tries": 0},
        {"tries": True},
        {"tries": 1.5},
        {"base": -1},
        {"base": float("nan")},
        {"cap": float("inf")},
        {"cap": "8"},
    ],
)
def test_a_policy_that_cannot_be_is_refused(arguments):
    """Bad numbers get a sentence when the policy is made."""
    with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
        RetryPolicy(**arguments)
