"""Whoever observes a client sees each call and each try, and no secret."""

from __future__ import annotations

import asyncio
import logging

import attrs
import pytest
from samples import NEW_INBOX_KEY, NEW_KEY, SECRET, agentity, agentry, jwt
from wire import Wire, answer, close, hang

from agentkeys import (
    AgentKeysError,
    DeadlineExceededError,
    InvalidArgumentError,
    PasswordLogin,
    RateLimitError,
    RetryPolicy,
    sync,
)
from agentkeys.observers import Call, Observer, Outcome
from agentkeys.server import LocalService

TOKEN = "bearer-S3NT1NEL-token"
DELETE = "DELETE /human/v0/inboxes/{inbox_id}/api-keys/{api_key_id}"
OK = answer(204, headers={"X-Request-Id": "req_1"})


class Seen(Observer):
    """Remembers what it was told, and in which order."""

    def __init__(self):
        self.told = []

    def begin_call(self, call):
        self.told.append(("call", call))

    def begin_try(self, call, number):
        self.told.append(("try", call, number))

    def end_try(self, call, outcome):
        self.told.append(("try ended", call, outcome))

    def end_call(self, call, outcome):
        self.told.append(("call ended", call, outcome))

    def kinds(self):
        return [each[0] for each in self.told]

    def outcomes(self, kind):
        return [each[2] for each in self.told if each[0] == kind]


def without_seconds(outcome):
    assert outcome.seconds >= 0
    return attrs.astuple(attrs.evolve(outcome, seconds=0.0))


async def deleted(seen, *replies, **settings):
    """Delete a key of an inbox; return what was raised."""
    settings = {"retry": RetryPolicy(base=0.0)} | settings
    async with Wire(*replies) as wire, agentry(wire.url, TOKEN, observers=[seen], **settings) as c:
        try:
            await c.inbox("support@acme.to").api_keys.delete("key_1")
        except AgentKeysError as error:
            return error


@pytest.mark.asyncio
async def test_each_try_of_a_call_is_seen():
    """Begin and end of the call and of its tries, in order, with status and request id."""
    seen = Seen()
    assert await deleted(seen, answer(503), close, OK) is None
    assert seen.kinds() == ["call", *["try", "try ended"] * 3, "call ended"]
    call = seen.told[0][1]
    assert all(each[1] is call for each in seen.told)
    assert f"{call.method} {call.route}" == DELETE
    assert call.service == "Agentry"
    assert call.path == "/human/v0/inboxes/support%40acme.to/api-keys/key_1"
    assert call.base_url.startswith("http://127.0.0.1:")
    assert [each[2] for each in seen.told if each[0] == "try"] == [1, 2, 3]
    assert [without_seconds(each) for each in seen.outcomes("try ended")] == [
        (1, 0.0, 503, "ServerError", None, "maybe"),
        (2, 0.0, None, "TransportError", None, "maybe"),
        (3, 0.0, 204, None, "req_1", "yes"),
    ]
    assert [without_seconds(each) for each in seen.outcomes("call ended")] == [
        (3, 0.0, 204, None, "req_1", "yes")
    ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reply", "timeout", "of_the_try", "of_the_call"),
    [
        (answer(429), 30.0, (429, "RateLimitError", "no"), (429, "RateLimitError", "no")),
        (hang, 0.2, (None, "CancelledError", "maybe"), (None, "DeadlineExceededError", "maybe")),
    ],
    ids=["refused", "late"],
)
async def test_a_call_that_fails_is_seen_to_end(reply, timeout, of_the_try, of_the_call):
    """With the error that the caller gets, and whether the service may have acted."""
    seen = Seen()
    error = await deleted(seen, reply, timeout=timeout, retry=RetryPolicy(tries=1))
    assert isinstance(error, RateLimitError | DeadlineExceededError)
    assert seen.kinds() == ["call", "try", "try ended", "call ended"]
    for kind, expected in (("try ended", of_the_try), ("call ended", of_the_call)):
        [ended] = seen.outcomes(kind)
        assert (ended.status, ended.error, ended.applied) == expected


@pytest.mark.asyncio
async def test_a_cancelled_call_is_seen_to_end():
    """Nothing that began is left open."""
    seen = Seen()
    async with Wire(hang) as wire, agentry(wire.url, TOKEN, observers=[seen]) as client:
        listing = asyncio.ensure_future(client.api_keys.list().collect())
        await wire.hung.wait()
        listing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listing
    assert seen.kinds() == ["call", "try", "try ended", "call ended"]
    assert [each.error for each in seen.outcomes("call ended")] == ["CancelledError"]


@pytest.mark.asyncio
async def test_a_login_is_a_call_of_its_own():
    """It begins and ends within the call that needs it."""
    seen = Seen()
    tokens = answer(200, {"accessToken": jwt(), "refreshToken": "r"})
    async with Wire(tokens, answer(201, NEW_KEY)) as wire:
        login = PasswordLogin("me@example.com", "pass")
        async with agentity(wire.url, login, observers=[seen]) as client:
            await client.api_keys.create("ci")
    calls = [each[1].route for each in seen.told if each[0] in {"call", "call ended"}]
    assert calls == ["/auth/api-keys", "/auth/token", "/auth/token", "/auth/api-keys"]


@pytest.mark.asyncio
async def test_no_secret_is_told():
    """Not in a path or a request id, whatever a caller or a service puts there."""
    seen = Seen()
    leaky = answer(201, NEW_INBOX_KEY, headers={"X-Request-Id": f"{TOKEN} {SECRET}"})
    async with Wire(leaky) as wire, agentry(wire.url, TOKEN, observers=[seen]) as client:
        await client.inbox(TOKEN).api_keys.create("ci")
    told = repr(seen.told)
    assert TOKEN not in told
    assert SECRET not in told
    assert NEW_INBOX_KEY["api_key"] not in told


class Failing(Observer):
    def begin_try(self, call, number):
        raise ValueError(TOKEN)

    def end_call(self, call, outcome):
        raise ValueError(TOKEN)


@pytest.mark.asyncio
async def test_an_observer_that_fails_changes_no_call(caplog):
    """It is logged once, by its class alone; the other observers are told all the same."""
    seen = Seen()
    async with Wire(OK) as wire:
        async with agentry(wire.url, TOKEN, observers=[Failing(), seen]) as client:
            for _ in range(2):
                await client.api_keys.delete("key_1")
    assert seen.kinds() == ["call", "try", "try ended", "call ended"] * 2
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(said) == 1
    assert "Failing failed with ValueError" in said[0]


@pytest.mark.asyncio
async def test_the_line_of_a_log_has_the_same_fields(caplog):
    """For handlers that write JSON: each field is an attribute of the record."""
    caplog.set_level(logging.DEBUG, logger="agentkeys")
    seen = Seen()
    await deleted(seen, answer(503), OK)
    lines = [record for record in caplog.records if record.name == "agentkeys"]
    assert len(lines) == 2
    for line, outcome in zip(lines, seen.outcomes("try ended"), strict=True):
        call = seen.told[0][1]
        expected = outcome.fields() | {
            "service": call.service,
            "method": call.method,
            "route": call.route,
        }
        assert {name: getattr(line, name) for name in expected} == expected


def test_a_blocking_client_is_observed():
    """By the same observers, which are called in its own thread."""
    seen = Seen()
    with sync.LocalService() as service:
        token = service.agentry_token
        with sync.AgentryClient(token, base_url=service.url, observers=[seen]) as client:
            client.inbox(service.inbox_id).api_keys.list().collect()
    assert seen.kinds() == ["call", "try", "try ended", "call ended"]


@pytest.mark.parametrize("observers", [Seen, [Seen], [object()], "observer", None, 7])
def test_what_is_no_observer_is_refused(observers):
    """Before anything is sent, in a sentence."""
    with pytest.raises(InvalidArgumentError, match="observers must be"):
        agentry("http://127.0.0.1:1", TOKEN, observers=observers)


@pytest.mark.asyncio
async def test_a_program_says_what_it_is():
    """Its product comes before ours, to the service and to no one else."""
    async with Wire(OK) as wire:
        async with agentry(wire.url, TOKEN, user_agent="billing/1.4 (acme)") as client:
            await client.api_keys.delete("key_1")
        async with agentry(wire.url, TOKEN) as client:
            await client.api_keys.delete("key_1")
    own, none = [request.headers["user-agent"] for request in wire.requests]
    assert own == f"billing/1.4 (acme) {none}"
    assert none.startswith("agentkeys/")


@pytest.mark.parametrize("product", ["", " x", "x ", "a\nb", "a\r\nX: y", "é", "x" * 201, 7])
def test_what_is_no_product_is_refused(product):
    """A line end in it would be another field."""
    with pytest.raises(InvalidArgumentError, match="user_agent must be"):
        agentry("http://127.0.0.1:1", TOKEN, user_agent=product)


@pytest.mark.asyncio
async def test_a_real_service_is_observed():
    """A key is made, listed and deleted: three calls, each with one try and a status."""
    seen = Seen()
    async with LocalService() as service:
        async with agentry(service.url, service.agentry_token, observers=[seen]) as client:
            keys = client.inbox(service.inbox_id).api_keys
            new = await keys.create("ci")
            await keys.list().collect()
            await keys.delete(new.id)
    assert [each.status for each in seen.outcomes("call ended")] == [201, 200, 204]
    assert {each.tries for each in seen.outcomes("call ended")} == {1}
    assert isinstance(seen.told[0][1], Call)
    assert isinstance(seen.told[-1][2], Outcome)


@pytest.mark.asyncio
async def test_what_a_request_brought_says_by_which_request_it_came():
    """A new key and a page; the id is no part of the data, and holds no secret."""
    made = answer(201, NEW_INBOX_KEY, headers={"X-Request-Id": f"req_1 {TOKEN}"})
    page = answer(200, {"api_keys": []}, headers={"X-Request-Id": "req_2"})
    nameless = answer(201, NEW_INBOX_KEY)
    async with Wire(made, page, nameless) as wire, agentry(wire.url, TOKEN) as client:
        keys = client.api_keys
        new = await keys.create("x")
        listed = await keys.list().first()
        other = await keys.create("x")
    assert new.request_id is not None
    assert new.request_id.startswith("req_1 ")
    assert TOKEN not in new.request_id
    assert (listed.request_id, other.request_id) == ("req_2", None)
    assert new == other
    assert "request_id" not in new.to_dict()
