"""Credentials that are kept in a store: read when they are needed, and again after a 401."""

from __future__ import annotations

import asyncio
import logging
import pickle

import pytest
from samples import agentity, agentry, jwt
from wire import Wire, answer

from agentkeys import (
    AgentityClient,
    AgentryClient,
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidArgumentError,
    PasswordLogin,
    RetryPolicy,
    Secret,
    StoredToken,
    StoreError,
    sync,
)
from agentkeys.server import LocalService
from agentkeys.stores import CommandStore, MemoryStore, Stored, open_store
from agentkeys.testing.store_checks import hidden

EMAIL = "me@example.com"
WRONG, RIGHT = Secret("wrong S3NT1NEL horse"), Secret("right S3NT1NEL horse")
TOKENS = {"accessToken": jwt(), "refreshToken": "refresh"}
NO_KEYS = answer(200, {"apiKeys": []})
NO_KEYS_HERE = answer(200, {"api_keys": []})


class Counting(MemoryStore):
    """Counts how often it is read; holds the next secret each time, and the last one from then."""

    def __init__(self, *secrets):
        super().__init__()
        self.secrets = list(secrets)
        self.reads = 0

    async def read(self):
        self.reads += 1
        secret = self.secrets[min(self.reads, len(self.secrets)) - 1]
        if isinstance(secret, Exception):
            raise secret
        if secret is None:
            await asyncio.get_running_loop().create_future()
        return Stored.of(Secret(secret.reveal()))  # another object each time, as of any store


@pytest.mark.asyncio
async def test_a_password_is_read_when_a_login_needs_it():
    """Not when the client is made, and once for any number of calls that wait."""
    async with LocalService() as service:
        store = Counting(Secret(service.password))
        login = PasswordLogin(service.email, password_from=store)
        async with agentity(service.url, login) as client:
            assert store.reads == 0
            await asyncio.gather(*(client.api_keys.list().collect() for _ in range(50)))
            await client.api_keys.list().collect()
    assert store.reads == 1
    assert login.account == service.email


@pytest.mark.asyncio
async def test_a_password_that_was_changed_meanwhile_is_read_again():
    """After a login that is refused, once, and only if the store holds another one by then."""
    async with LocalService() as service:
        store = Counting(WRONG, Secret(service.password))
        login = PasswordLogin(service.email, password_from=store)
        async with agentity(service.url, login) as client:
            assert await client.api_keys.list().collect() == []
    assert store.reads == 2


@pytest.mark.asyncio
async def test_a_password_that_stays_wrong_is_refused_once():
    """The login is not sent again with what was refused."""
    store = Counting(WRONG)
    async with Wire(answer(401)) as wire:
        login = PasswordLogin(EMAIL, password_from=store)
        async with agentity(wire.url, login) as client:
            with pytest.raises(AuthenticationError) as raised:
                await client.api_keys.list().collect()
    assert [request.target for request in wire.requests] == ["/auth/token"]
    hidden(WRONG, raised.value)


@pytest.mark.asyncio
async def test_a_token_that_stays_refused_is_sent_once():
    """It is read again, and is the very same: the 401 is reported."""
    store = Counting(Secret("token"))
    replies = (NO_KEYS_HERE, answer(401))
    async with Wire(*replies) as wire, agentry(wire.url, StoredToken(store)) as client:
        await client.api_keys.list().collect()
        with pytest.raises(AuthenticationError):
            await client.api_keys.list().collect()
        assert len(wire.requests) == 2
    assert store.reads == 2


@pytest.mark.asyncio
async def test_a_token_that_was_replaced_is_read_again():
    """After the 401 of the first one."""
    store = Counting(Secret("old"), Secret("new"))
    replies = (NO_KEYS_HERE, answer(401), NO_KEYS_HERE)
    async with Wire(*replies) as wire, agentry(wire.url, StoredToken(store)) as client:
        await client.api_keys.list().collect()
        await client.api_keys.list().collect()
        sent = [request.headers["authorization"] for request in wire.requests]
    assert sent == ["Bearer old", "Bearer old", "Bearer new"]


@pytest.mark.asyncio
async def test_an_access_token_is_read_again_before_it_ends():
    """Its lifetime is in it, as for any other token of Agentity's."""
    short = Secret(jwt("1", iat=1000, exp=1000.0001))
    store = Counting(short, Secret(jwt("2", iat=1000, exp=2000)))
    async with Wire(NO_KEYS) as wire, agentity(wire.url, StoredToken(store)) as client:
        await client.api_keys.list().collect()
        await client.api_keys.list().collect()
        await client.api_keys.list().collect()
    assert store.reads == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("store", "kind", "said"),
    [
        (MemoryStore(), ConfigurationError, "there is no password in"),
        (CommandStore(["true"]), StoreError, "write-only"),
        (Counting(OSError("S3NT1NEL")), StoreError, "cannot be read: OSError"),
        (Counting(StoreError("it is locked")), StoreError, "it is locked"),
    ],
    ids=["empty", "write-only", "broken", "locked"],
)
async def test_a_store_that_has_no_password_says_so(store, kind, said):
    """Before anything is sent."""
    async with Wire(NO_KEYS) as wire:
        async with agentity(wire.url, PasswordLogin(EMAIL, password_from=store)) as client:
            with pytest.raises(kind, match=said) as raised:
                await client.api_keys.list().collect()
        assert wire.requests == []
    assert "S3NT1NEL" not in str(raised.value)


@pytest.mark.asyncio
async def test_a_store_that_hangs_ends_with_the_call():
    """At its deadline."""
    async with Wire(NO_KEYS) as wire:
        login = PasswordLogin(EMAIL, password_from=Counting(None))
        async with agentity(wire.url, login, timeout=0.2) as client:
            with pytest.raises(DeadlineExceededError):
                await client.api_keys.list().collect()


def test_one_of_the_two_is_given():
    """A password, or where it is."""
    for arguments in ({}, {"password": "p", "password_from": "memory:p"}):
        with pytest.raises(InvalidArgumentError, match="password or password_from"):
            PasswordLogin(EMAIL, **arguments)
    for wrong in (7, object()):
        with pytest.raises(InvalidArgumentError, match="must be a store or its address"):
            PasswordLogin(EMAIL, password_from=wrong)
    with pytest.raises(InvalidArgumentError, match="colon"):
        PasswordLogin("a:b", password_from="memory:p")


@pytest.mark.asyncio
async def test_the_password_shows_nowhere(caplog):
    """What is read is masked in what the service says, too."""
    caplog.set_level(logging.DEBUG)
    echo = answer(500, {"message": f"bad password {RIGHT.reveal()}"})
    login = PasswordLogin(EMAIL, password_from=Counting(RIGHT))
    async with Wire(echo) as wire, agentity(wire.url, login, retry=RetryPolicy(tries=1)) as c:
        with pytest.raises(Exception) as raised:  # noqa: PT011  # whichever
            await c.api_keys.list().collect()
    hidden(RIGHT, raised.value)
    hidden(RIGHT, caplog.text, "the log")
    hidden(RIGHT, repr(login), "the repr")
    assert RIGHT in tuple(login.secrets())
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        pickle.dumps(login)


# The environment.


@pytest.fixture
def service():
    with sync.LocalService() as it:
        yield it


def set_all(monkeypatch, service, **variables):
    monkeypatch.setenv("AGENTITY_BASE_URL", service.url)
    monkeypatch.setenv("AGENTRY_BASE_URL", service.url)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("way", ["_FROM", "_FILE"])
def test_the_environment_names_a_store(way, service, monkeypatch, tmp_path):
    """The address of any store, or the path of a file; for blocking clients as well."""
    values = {"AGENTRY_API_KEY": service.agentry_token, "AGENTITY_PASSWORD": service.password}
    for name, value in values.items():
        path = tmp_path / name
        path.write_text(f"{value}\n")
        path.chmod(0o600)
        monkeypatch.setenv(f"{name}{way}", f"file:{path}" if way == "_FROM" else str(path))
    set_all(monkeypatch, service, AGENTITY_EMAIL=service.email)
    with sync.AgentryClient() as one, sync.AgentityClient() as other:
        assert one.api_keys.list().collect() == []
        assert other.api_keys.list().collect() == []


def test_an_access_token_wins_over_a_password(service, monkeypatch):
    """Wherever each of them is."""
    login = sync.login(service.email, service.password, base_url=service.url)
    asyncio.run(open_store("memory:access").write(login.access_token))
    set_all(
        monkeypatch,
        service,
        AGENTITY_EMAIL=service.email,
        AGENTITY_PASSWORD="another",
        AGENTITY_ACCESS_TOKEN_FROM="memory:access",
    )
    with sync.AgentityClient() as client:
        assert client.api_keys.list().collect() == []


@pytest.mark.parametrize("client", [AgentryClient, sync.AgentryClient])
def test_two_that_contradict_each_other_are_refused(client, monkeypatch):
    """Nobody guesses which of them is meant."""
    monkeypatch.setenv("AGENTRY_API_KEY", "S3NT1NEL")
    monkeypatch.setenv("AGENTRY_API_KEY_FROM", "memory:x")
    with pytest.raises(
        ConfigurationError,
        match=r"^AGENTRY_API_KEY and AGENTRY_API_KEY_FROM are set: unset all but",
    ) as raised:
        client()
    assert "S3NT1NEL" not in str(raised.value)


@pytest.mark.parametrize("value", ["agk_live_S3NT1NEL_pasted", "nonsense:S3NT1NEL", "dotenv:x"])
def test_what_is_no_address_is_refused_without_being_shown(value, monkeypatch):
    """Somebody may have put the secret itself there."""
    monkeypatch.setenv("AGENTITY_ACCESS_TOKEN_FROM", value)
    with pytest.raises(
        ConfigurationError, match=r"^AGENTITY_ACCESS_TOKEN_FROM does not name a usable store"
    ) as raised:
        AgentityClient()
    assert "S3NT1NEL" not in f"{raised.value!r} {raised.value}"
