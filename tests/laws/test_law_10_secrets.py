"""Law 10: a secret shows nowhere."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import pickle
import weakref
from urllib.parse import quote

import attrs
import pytest
from leaks import shown
from samples import AGENTRY_SECRET, NEW_INBOX_KEY, NEW_KEY, SECRET, agentity, agentry, jwt
from wire import Seen, Wire, answer, close, hang, raw

from agentkeys import (
    AgentityClient,
    AgentKeysError,
    AgentryClient,
    ConfigurationError,
    DecodeError,
    PasswordLogin,
    Secret,
    TokenPair,
)
from agentkeys.agentity import register

TOKEN = "bearer-S3NT1NEL-token"
PASSWORD = 'pass:S3NT1NEL"wörd'
ACCESS, REFRESH = jwt("S3NT1NEL"), "refresh-S3NT1NEL"
BASIC = base64.b64encode(f"me@example.com:{PASSWORD}".encode()).decode()
SENTINELS = [TOKEN, PASSWORD, ACCESS, REFRESH, BASIC, SECRET, AGENTRY_SECRET, "S3NT1NEL"]


def assert_no_leak(text: str) -> None:
    found = [n for n, sentinel in enumerate(SENTINELS) if sentinel in text]
    assert not found, f"sentinels {found} leaked"


CREDENTIALS = {
    "token": (lambda: TOKEN, [TOKEN]),
    "password": (
        lambda: PasswordLogin("me@example.com", PASSWORD),
        [PASSWORD, BASIC, ACCESS, REFRESH],
    ),
    "pair": (lambda: TokenPair(ACCESS, REFRESH), [ACCESS, REFRESH]),
}
credentials = pytest.mark.parametrize(
    ("given", "held"), CREDENTIALS.values(), ids=CREDENTIALS.keys()
)


@pytest.mark.asyncio
@credentials
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 418, 422, 429, 500])
async def test_a_service_that_echoes_secrets_does_not_leak_them(given, held, status, caplog):
    """Its text is shown with every secret that the client knows, and every key, masked."""
    caplog.set_level(logging.DEBUG)
    said = " and ".join([*held, json.dumps(held), *map(quote, held), SECRET, AGENTRY_SECRET])
    body = {"message": said, "code": said, "errors": [{said: [said, {"deep": said}]}]}

    def echo(seen: Seen):
        if seen.target.startswith("/auth/token"):
            return answer(200, {"accessToken": ACCESS, "refreshToken": REFRESH})
        return answer(status, body, {"X-Request-Id": f"id {held[0]}"})

    async with Wire(echo) as wire, agentity(wire.url, given()) as client:
        with pytest.raises(AgentKeysError, match=r"\*\*\*\*") as caught:
            await client.api_keys.create("x")
    assert_no_leak(shown(caught.value))
    assert_no_leak("".join(record.getMessage() for record in caplog.records))
    pickle.dumps(caught.value)


@pytest.mark.asyncio
@credentials
@pytest.mark.parametrize(
    "trouble",
    [
        close,
        raw(b'HTTP/1.1 201 Created\r\nContent-Length: 900\r\n\r\n{"key": "' + SECRET.encode()),
        raw(SECRET.encode() + b"\r\n\r\n"),
        answer(201, {**NEW_KEY, "id": "42"}),
        answer(201, [NEW_KEY]),
        answer(201, f'{{"key": "{SECRET}", nonsense'.encode()),
        answer(201, {**NEW_KEY, "createdAt": SECRET}),
    ],
    ids=["closed", "cut short", "not HTTP", "mistyped", "a list", "malformed", "no time"],
)
async def test_an_answer_that_cannot_be_used_does_not_leak(given, held, trouble):
    """Neither the secret in the answer nor the token that was sent is in any frame of the error."""

    def reply(seen: Seen):
        if seen.target.startswith("/auth/token"):
            return answer(200, {"accessToken": ACCESS, "refreshToken": REFRESH})
        return trouble

    async with Wire(reply) as wire, agentity(wire.url, given()) as client:
        with pytest.raises(AgentKeysError) as caught:
            await client.api_keys.create("x")
    assert_no_leak(shown(caught.value))


@pytest.mark.asyncio
@credentials
@pytest.mark.parametrize("how", ["deadline", "cancelled"])
async def test_a_call_that_is_interrupted_does_not_leak(given, held, how):
    """The traceback of a deadline or of a cancellation shows no Authorization header."""
    async with Wire(hang) as wire, agentity(wire.url, given()) as client:
        call = asyncio.create_task(
            client.api_keys.create("x", timeout=0.5 if how == "deadline" else 60)
        )
        await wire.arrived.wait()
        if how == "cancelled":
            call.cancel()
        with pytest.raises((AgentKeysError, asyncio.CancelledError)) as caught:
            await call
    assert_no_leak(shown(caught.value))


@pytest.mark.asyncio
@pytest.mark.parametrize("reply", [answer(401), answer(200, {"accessToken": 5}), close])
async def test_a_failed_login_does_not_leak(reply):
    """Nor does a registration."""
    async with Wire(reply) as wire:
        async with agentity(wire.url, PasswordLogin("me@example.com", PASSWORD)) as client:
            with pytest.raises(AgentKeysError) as login:
                await client.api_keys.create("x")
        with pytest.raises(AgentKeysError) as opening:
            await register("me@example.com", PASSWORD, name="Me", base_url=wire.url)
    assert_no_leak(shown(login.value))
    assert_no_leak(shown(opening.value))


@pytest.mark.parametrize(
    "make",
    [
        lambda: AgentryClient(f"{TOKEN} "),
        lambda: AgentryClient(f"{TOKEN}\n"),
        lambda: AgentryClient(f"{TOKEN}é"),
        lambda: AgentryClient(TOKEN, timeout=0),
        lambda: AgentryClient(TOKEN, base_url="http://elsewhere"),
        lambda: AgentryClient(TOKEN, proxy="socks://x"),
        lambda: AgentryClient("ag_x", proxy=f"socks://{TOKEN}"),
        lambda: AgentryClient("ag_x", base_url=f"https://{TOKEN}@x"),
        lambda: AgentryClient(TOKEN.encode()),
        lambda: AgentityClient((TOKEN, PASSWORD)),
        lambda: PasswordLogin("a:b@example.com", PASSWORD),
        lambda: PasswordLogin("", PASSWORD),
        lambda: PasswordLogin("me@example.com", f"{PASSWORD}\ud800"),
        lambda: TokenPair(TOKEN, PASSWORD.encode()),
    ],
)
def test_a_client_that_cannot_be_made_does_not_leak(make):
    """No frame of ours keeps a raw credential while the error is raised."""
    with pytest.raises((AgentKeysError, TypeError)) as caught:
        make()
    text = shown(caught.value)
    # bytes and tuples are no credentials: they stand in the frames as the caller passed them.
    if "bytes" not in text and "tuple" not in text:
        assert_no_leak(text)
    assert_no_leak(str(caught.value))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "setting", [{"proxy": f"socks://{TOKEN}"}, {"base_url": f"https://{TOKEN}@x"}]
)
async def test_a_registration_that_cannot_be_sent_does_not_leak(setting):
    """Its settings, which it passes on, may hold a password too."""
    with pytest.raises(ConfigurationError) as caught:
        await register("me@example.com", PASSWORD, name="Me", **setting)
    assert_no_leak(shown(caught.value))


@pytest.mark.parametrize(
    ("variables", "client"),
    [
        ({}, AgentityClient),
        ({}, AgentryClient),
        ({"AGENTITY_EMAIL": "me@example.com"}, AgentityClient),
        ({"AGENTITY_PASSWORD": PASSWORD}, AgentityClient),
        ({"AGENTITY_ACCESS_TOKEN": ""}, AgentityClient),
        ({"AGENTITY_ACCESS_TOKEN": f"{TOKEN} {TOKEN}"}, AgentityClient),
        ({"AGENTRY_API_KEY": f"{TOKEN}\t"}, AgentryClient),
    ],
)
def test_no_usable_credentials_in_the_environment(variables, client, monkeypatch):
    """The sentence says what to set, and shows nothing of what is set."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        client()
    assert_no_leak(shown(caught.value))


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
    assert_no_leak(repr(client) + repr(vars(client)))


@pytest.mark.asyncio
async def test_records_keep_their_secrets():
    """repr, asdict, pickle and the debug log of a create hold no secret."""
    async with Wire(answer(201, NEW_INBOX_KEY)) as wire, agentry(wire.url) as client:
        new = await client.api_keys.create("ci")
    assert new.secret.reveal() == new.api_key.reveal() == AGENTRY_SECRET
    assert_no_leak(f"{new!r} {new} {attrs.asdict(new)} {attrs.astuple(new)}")
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
