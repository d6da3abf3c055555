"""Law 12: bad input is refused with a sentence, before anything is sent."""

from __future__ import annotations

import ssl

import pytest
from samples import NEW_KEY, agentity, agentry
from wire import Wire, answer

from agentkeys import (
    AgentityClient,
    AgentKeysError,
    ClientClosedError,
    ConfigurationError,
    InvalidArgumentError,
    PasswordLogin,
    RetryPolicy,
    TokenPair,
)
from agentkeys.agentity import register

NAMES = ["", None, 5, b"x", ["x"], "\ud800", True]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", NAMES, ids=repr)
async def test_a_name_that_cannot_be_is_refused(name):
    """Empty, no str, or no Unicode: in every scope of both services."""
    async with (
        Wire(answer(201, NEW_KEY)) as wire,
        agentity(wire.url) as one,
        agentry(wire.url) as two,
    ):
        for collection in (
            one.api_keys,
            two.api_keys,
            two.inbox("i").api_keys,
            two.agent.api_keys,
            two.agent.inbox("i").api_keys,
            two.agent.pod("p").api_keys,
        ):
            with pytest.raises(InvalidArgumentError, match="name"):
                await collection.create(name)
        with pytest.raises(InvalidArgumentError, match="name"):
            await register("me@example.com", "pw", name=name, base_url=wire.url)
    assert wire.requests == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "permissions", [{"a": 1}, {"": True}, {5: True}, ["read_inbox"], "read_inbox", {"a": None}]
)
async def test_permissions_are_a_map_of_str_to_bool(permissions):
    """Which flags there are is open; what they are is not."""
    async with Wire(answer(200)) as wire, agentry(wire.url) as client:
        with pytest.raises(InvalidArgumentError, match="permissions"):
            await client.agent.api_keys.create("x", permissions=permissions)
    assert wire.requests == []


@pytest.mark.parametrize("email", ["a:b@example.com", "", None, 5, "\ud800@x"], ids=repr)
def test_an_email_that_cannot_log_in_is_refused(email):
    """A colon would end the user name in Basic credentials."""
    with pytest.raises(InvalidArgumentError, match="email"):
        PasswordLogin(email, "pw")


@pytest.mark.parametrize("password", ["", "\ud800"], ids=repr)
def test_a_password_that_cannot_be_is_refused(password):
    """Empty, or not to be sent as UTF-8."""
    with pytest.raises(InvalidArgumentError, match="password"):
        PasswordLogin("me@example.com", password)


@pytest.mark.parametrize("token", ["", " ", "a b", "a\n", "\ta", "a\x7f", "é", "a\0"], ids=repr)
def test_a_token_that_no_header_can_hold_is_refused(token):
    """Empty, with white space, or not ASCII."""
    with pytest.raises(ConfigurationError, match="bearer token"):
        AgentityClient(token)
    with pytest.raises(ConfigurationError, match="access token"):
        TokenPair(token, "refresh")
    with pytest.raises(ConfigurationError, match="refresh token"):
        TokenPair("access", token)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"retry": 3}, "retry"),
        ({"ssl": False}, "ssl"),
        ({"timeout": None}, "timeout"),
        ({"credentials": 5}, "credentials"),
        ({"credentials": ["me@example.com", "pw"]}, "credentials"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, name):
    """When the client is made, and by name."""
    with pytest.raises(AgentKeysError, match=name):
        AgentityClient(**{"credentials": "token", **settings})


def test_good_settings_are_taken():
    """The settings of the public surface are all there."""
    AgentityClient(
        PasswordLogin("me@example.com", "with:colon"),
        base_url="https://example.com",
        timeout=1,
        retry=RetryPolicy(tries=1),
        ssl=ssl.create_default_context(),
        proxy="http://user:pw@proxy:3128",
        allow_http=False,
        session=None,
    )


@pytest.mark.asyncio
async def test_a_client_that_is_closed_says_so():
    """And nothing is sent."""
    async with Wire(answer(201, NEW_KEY)) as wire:
        client = agentity(wire.url)
        await client.close()
        with pytest.raises(ClientClosedError, match="closed"):
            await client.api_keys.create("x")
    assert wire.requests == []
