"""Law 10: a secret shows nowhere. What the grid beside this file does not ask."""

from __future__ import annotations

import base64
import gc
import logging
import pickle
import weakref

import pytest
from leaks import shown
from samples import AGENTRY_SECRET, NEW_INBOX_KEY, NEW_KEY, SECRET, agentity, agentry, jwt
from wire import Wire, answer, close

from agentkeys import (
    AgentityClient,
    AgentKeysError,
    AgentryClient,
    ConfigurationError,
    DecodeError,
    PasswordLogin,
    Secret,
)

TOKEN = "bearer-S3NT1NEL-token"
PASSWORD = 'pass:S3NT1NEL"wörd'
ACCESS, REFRESH = jwt("S3NT1NEL"), "refresh-S3NT1NEL"
BASIC = base64.b64encode(f"me@example.com:{PASSWORD}".encode()).decode()
SENTINELS = [TOKEN, PASSWORD, ACCESS, REFRESH, BASIC, SECRET, AGENTRY_SECRET, "S3NT1NEL"]


def assert_no_leak(text: str) -> None:
    found = [n for n, sentinel in enumerate(SENTINELS) if sentinel in text]
    assert not found, f"sentinels {found} leaked"


@pytest.mark.parametrize(
    ("variables", "client"),
    [
        ({}, AgentityClient),
        ({}, AgentryClient),
        ({"AGENTITY_EMAIL": "me@example.com"}, AgentityClient),
        ({"AGENTITY_ACCESS_TOKEN": ""}, AgentityClient),
    ],
)
def test_no_usable_credentials_in_the_environment(variables, client, monkeypatch):
    """The sentence says what to set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match="set AG"):
        client()


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({"AGENTITY_ACCESS_TOKEN": TOKEN}, AgentityClient),
        ({"AGENTITY_EMAIL": "me@example.com", "AGENTITY_PASSWORD": PASSWORD}, AgentityClient),
        ({"AGENTRY_API_KEY": TOKEN}, AgentryClient),
    ],
)
@pytest.mark.asyncio
async def test_the_environment_holds_credentials(variables, kind, monkeypatch):
    """They are read when the client is made, and not later."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with Wire(answer(401)) as wire, kind(base_url=wire.url) as client:
        for name in variables:
            monkeypatch.delenv(name)
        with pytest.raises(AgentKeysError) as caught:
            await client.api_keys.list().collect()
    assert caught.value.status == 401


@pytest.mark.asyncio
async def test_a_record_gives_its_secret_when_asked():
    """And only then: the grid shows the rest."""
    async with Wire(answer(201, NEW_INBOX_KEY)) as wire, agentry(wire.url) as client:
        new = await client.api_keys.create("ci")
    assert new.secret.reveal() == new.api_key.reveal() == AGENTRY_SECRET
    with pytest.raises(TypeError):
        pickle.dumps(new)


@pytest.mark.asyncio
async def test_each_try_logs_one_line(caplog):
    """Method, path template, status, milliseconds, try, request id; and nothing else."""
    caplog.set_level(logging.DEBUG, logger="agentkeys")
    ok = answer(204, headers={"X-Request-Id": "req_1"})
    async with Wire(answer(503), close, ok) as wire, agentry(wire.url, TOKEN) as client:
        await client.inbox("support@acme.to").api_keys.delete("key_1")
    own = [record for record in caplog.records if record.name.startswith("agentkeys")]
    path = "DELETE /human/v0/inboxes/{inbox_id}/api-keys/{api_key_id}"
    for line, start, end in zip(
        own,
        (f"{path}: 503 in ", f"{path}: TransportError in ", f"{path}: 204 in "),
        (
            " ms, try 1, request id None",
            " ms, try 2, request id None",
            " ms, try 3, request id req_1",
        ),
        strict=True,
    ):
        assert line.levelno == logging.DEBUG
        assert line.getMessage().startswith(start)
        assert line.getMessage().endswith(end)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reply", "path"),
    [
        (answer(201, {**NEW_KEY, "id": None}), "$.id"),
        (answer(201, {"data": NEW_KEY}), "$.id"),
        (answer(201, {"key": SECRET}), "$.id"),
        (answer(200, f'{{"key":"{SECRET}"'.encode()), "$"),
        (answer(201, f'<p>your key: "{SECRET}"</p>'.encode()), "$"),
        (answer(201, {**NEW_KEY, "key": None, "apiKey": SECRET}), "$.key"),
    ],
)
async def test_a_secret_in_an_answer_that_cannot_be_read_is_salvaged(reply, path):
    """The key exists, so its secret is in the error: as a Secret."""
    async with Wire(reply) as wire, agentity(wire.url) as client:
        with pytest.raises(DecodeError, match="salvaged") as caught:
            await client.api_keys.create("x")
    assert caught.value.salvaged == Secret(SECRET)
    assert caught.value.json_path == path
    assert_no_leak(shown(caught.value))


@pytest.mark.asyncio
async def test_nothing_is_salvaged_where_no_secret_is():
    """A listing has none, and neither has an answer without one."""
    async with Wire(answer(200, {"apiKeys": 5, "key": SECRET}), answer(201, {})) as wire:
        async with agentity(wire.url) as client:
            for call in (client.api_keys.list().collect(), client.api_keys.create("x")):
                with pytest.raises(DecodeError) as caught:
                    await call
                assert caught.value.salvaged is None


@pytest.mark.asyncio
async def test_credentials_that_fail_to_name_their_secrets_leak_none():
    """Not even what aiohttp raised before, which holds the Authorization header."""

    class Vault:
        def current(self):
            return Secret(TOKEN)

        async def renew(self, caller, refused, timeout):
            return self.current()

        def secrets(self):
            raise RuntimeError("sealed")

    async with Wire(close) as wire, agentity(wire.url, Vault()) as client:
        with pytest.raises(RuntimeError, match="sealed") as caught:
            await client.api_keys.create("x")
    assert_no_leak(shown(caught.value))


@pytest.mark.asyncio
async def test_a_login_that_cannot_be_read_has_nothing_to_salvage():
    """An access token is no new key, and the error does not say that it is."""
    async with Wire(answer(200, {"accessToken": ACCESS})) as wire:
        async with agentity(wire.url, PasswordLogin("me@example.com", PASSWORD)) as client:
            with pytest.raises(DecodeError) as caught:
                await client.api_keys.create("x")
    assert caught.value.salvaged is None
    assert "salvaged" not in str(caught.value)


@pytest.mark.asyncio
async def test_a_failed_call_leaves_no_cycle():
    """An error that is dropped frees what it held at once, and not when a collector comes by."""
    async with Wire(answer(400)) as wire, agentity(wire.url) as client:
        gc.collect()
        gc.disable()
        try:
            try:
                await client.api_keys.create("x")
            except AgentKeysError as error:
                dropped = weakref.ref(error)
            assert dropped() is None
        finally:
            gc.enable()


@pytest.mark.asyncio
async def test_a_secret_that_is_cut_in_two_is_masked():
    """Where an error's body is cut off at our bound, no half of a token remains."""
    padding = b" " * (64 * 1024 - 30)
    async with Wire(answer(400, b"you sent" + padding[8:] + TOKEN.encode() * 2)) as wire:
        async with agentity(wire.url, TOKEN) as client:
            with pytest.raises(AgentKeysError) as caught:
                await client.api_keys.create("x")
    assert "you sent" in str(caught.value)
    assert TOKEN[:8] not in shown(caught.value)


@pytest.mark.asyncio
async def test_a_number_that_is_a_password_is_masked():
    """Details may be numbers, and so may passwords."""
    async with Wire(answer(400, {"errors": [{"value": 12345678}]})) as wire:
        async with agentity(wire.url, "12345678") as client:
            with pytest.raises(AgentKeysError) as caught:
                await client.api_keys.create("x")
    assert "12345678" not in shown(caught.value)
