"""Law 5, and more than ids: a subclass of str or int is sent by its value, and is checked by it."""

from __future__ import annotations

import base64
import enum
import os
from typing import Any

import pytest
from samples import KEY, NEW_INBOX_KEY, NEW_KEY, agentity, agentry, jwt
from wire import Wire, answer

from agentkeys import (
    AgentityClient,
    AgentryClient,
    InvalidArgumentError,
    PasswordLogin,
    Secret,
    TokenPair,
    issue,
)
from agentkeys.agentity import login, register
from agentkeys.stores import MemoryStore, open_store
from agentkeys.transport.call.endpoint import Endpoint, build


class Loud(str):
    """Says something else than it is, whoever asks, as some str of other libraries do."""

    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return "LOUD"

    def __eq__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 7

    def encode(self, *_: Any) -> bytes:
        return b"LOUD"

    def rstrip(self, *_: Any) -> str:
        return "LOUD"

    def partition(self, *_: Any) -> tuple[str, str, str]:
        return ("LOUD", "", "")


class LoudInt(int):
    """Likewise, of an int."""

    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return "LOUD"

    def bit_length(self) -> int:
        return 1

    def __lt__(self, other: object) -> bool:
        return False


def member(value: str) -> str:
    """Return a member of an Enum that is a str, as people name their inboxes."""
    return enum.Enum("Inbox", {"IT": value}, type=str).IT  # type: ignore[return-value]


def labelled(value: str) -> str:
    """Return a member whose `value` is not the str that it is."""

    class Labelled(str, enum.Enum):  # noqa: UP042  # StrEnum prints as its value
        IT = value

        def __new__(cls, text: str) -> Any:
            self = str.__new__(cls, text)
            self._value_ = "LABEL"
            return self

    return Labelled.IT


def number(value: int) -> int:
    return enum.IntEnum("Number", {"IT": value}).IT


def mixed_number(value: int) -> int:
    return enum.Enum("Number", {"IT": value}, type=int).IT  # type: ignore[return-value]


STR = pytest.mark.parametrize("of", [Loud, member, labelled], ids=["a str", "an Enum", "labelled"])
INT = pytest.mark.parametrize(
    "of", [LoudInt, number, mixed_number], ids=["an int", "an IntEnum", "an Enum"]
)
DELETE = Endpoint[None]("DELETE", "/a/{id}/b", returns=None)
PUT = Endpoint[None]("PUT", "/a", returns=None)


@STR
@pytest.mark.asyncio
async def test_it_cannot_leave_its_segment_either(of):
    """What is refused as a str is refused: two dots would name another collection."""
    async with Wire(answer(204)) as wire, agentry(wire.url) as client:
        for bad in ("..", ".", "", "a\0b", "\ud800"):
            with pytest.raises(InvalidArgumentError):
                await client.api_keys.delete(of(bad))
            with pytest.raises(InvalidArgumentError):
                client.agent.pod(of(bad))
            with pytest.raises(InvalidArgumentError):
                build(DELETE, {"id": of(bad)}, {}, None)
    assert wire.requests == []


@INT
def test_an_int_is_not_longer_than_it_says(of):
    """And what is refused as an int."""
    with pytest.raises(InvalidArgumentError):
        build(DELETE, {"id": of(1 << 65)}, {}, None)


@STR
@pytest.mark.asyncio
async def test_paths_queries_and_bodies_hold_the_value(of):
    """In every place of a call of Agentry."""
    replies = {
        "POST": answer(200, NEW_INBOX_KEY),
        "GET": answer(200, {"api_keys": []}),
        "DELETE": answer(204),
    }
    async with Wire(lambda seen: replies[seen.method]) as wire, agentry(wire.url) as client:
        keys = client.inbox(of("support@acme.to")).api_keys
        await keys.create(of("ci"))
        await client.agent.pod(of("p/1")).api_keys.create("x", permissions={of("read"): True})
        await client.api_keys.list(inbox_id=of("in"), page_token=of("a&b")).first()
        await keys.delete(of("key 1"))
        assert (keys.scope.kind, keys.scope.id) == ("inbox", "support@acme.to")
    first, second, third, fourth = wire.requests
    assert first.target == "/human/v0/inboxes/support%40acme.to/api-keys"
    assert first.json == {"name": "ci"}
    assert second.target == "/agent/v0/pods/p%2F1/api-keys"
    assert second.json == {"name": "x", "permissions": {"read": True}}
    assert third.target == "/human/v0/api-keys?inbox_id=in&page_token=a%26b"
    assert fourth.target == "/human/v0/inboxes/support%40acme.to/api-keys/key%201"


@INT
@pytest.mark.asyncio
async def test_ids_and_limits_are_sent_in_digits(of):
    """For Agentity, whose ids are integers, and in a query."""
    async with Wire(answer(200, {"api_keys": []})) as wire:
        async with agentity(wire.url) as one, agentry(wire.url) as two:
            await one.api_keys.delete(of(42))
            await two.api_keys.list(limit=of(10)).first()
    assert [seen.target for seen in wire.requests] == [
        "/auth/api-keys/42",
        "/human/v0/api-keys?limit=10",
    ]


@STR
def test_whatever_a_service_puts_into_a_body_or_a_query_is_a_value(of):
    """Also what a service's own code did not check; nested, and as a name."""
    body = {of("name"): [of("a"), {"b": of("c")}], "n": number(1), "secret": Secret("s")}
    request = build(PUT, {}, {of("q"): of("d"), "m": mixed_number(2)}, body)
    assert request.target == "/a?q=d&m=2"
    assert request.json == {"name": ["a", {"b": "c"}], "n": 1, "secret": Secret("s")}
    assert type(request.json["n"]) is int
    assert [type(each) for each in request.json] == [str] * 3


@pytest.mark.parametrize("bad", [b"x", {1, 2}, object(), {"a": b"x"}, {5: "x"}, "\ud800", 1 << 65])
def test_a_body_that_is_no_json_is_refused_with_a_sentence(bad):
    """And not by whatever library writes it."""
    with pytest.raises(InvalidArgumentError, match="body"):
        build(PUT, {}, {}, {"it": bad})


@STR
@pytest.mark.asyncio
async def test_a_login_and_a_registration_hold_the_value(of):
    """The email, the password and the name."""
    tokens = {"accessToken": jwt(), "refreshToken": "r"}
    account = {"id": "u", "name": "n", "email": "e", "createdAt": "2024-01-01T00:00:00Z"}
    replies = {
        "/auth/token": answer(200, tokens),
        "/auth/register": answer(201, {**account, "updatedAt": account["createdAt"]}),
        "/auth/api-keys": answer(201, NEW_KEY),
    }
    who = PasswordLogin(of("me@acme.to"), of("pass:word"))
    assert who.account == "me@acme.to"
    assert type(who.account) is str
    async with Wire(lambda seen: replies[seen.target]) as wire:
        await login(of("me@acme.to"), of("pass:word"), base_url=of(wire.url))
        await register(of("me@acme.to"), of("pass:word"), name=of("Me"), base_url=of(wire.url))
        async with agentity(wire.url, who) as client:
            await client.api_keys.create(of("ci"))
            assert client.api_keys.scope.account == "me@acme.to"
    one, two, three, four = wire.requests
    basic = base64.b64encode(b"me@acme.to:pass:word").decode()
    assert {each.headers["authorization"] for each in (one, two, three)} == {f"Basic {basic}"}
    assert two.json == {"name": "Me"}
    assert four.json == {"nickname": "ci"}


@STR
@pytest.mark.asyncio
async def test_settings_hold_the_value(of):
    """The address, with and without a slash at its end, and the credentials, of both kinds."""
    async with Wire(answer(200, {"apiKeys": [KEY]})) as wire:
        async with AgentityClient(of("token"), base_url=of(wire.url + "/")) as client:
            await client.api_keys.list().first()
        pair = TokenPair(of(jwt()), of("refresh"))
        async with AgentityClient(pair, base_url=of(wire.url)) as client:
            await client.api_keys.list().first()
    assert [seen.headers["authorization"] for seen in wire.requests] == [
        "Bearer token",
        f"Bearer {jwt()}",
    ]


@STR
def test_a_secret_is_the_value(of):
    """However it is written, compared or counted."""
    secret = Secret(of("xyz"))
    assert type(secret.reveal()) is str
    assert secret == Secret("xyz")
    assert hash(secret) == hash(Secret("xyz"))


@STR
def test_the_addresses_of_stores_are_values(of, tmp_path):
    """Their kinds, places, names and programs."""
    path = tmp_path / ".env"
    assert open_store(of("memory:a")).address == "memory:a"
    assert MemoryStore(of("a")).address == "memory:a"
    assert open_store(of(f"dotenv:{path}#X")).address == f"dotenv:{path}#X"
    assert open_store(of("keyring:a#b")).address == "keyring:a#b"
    assert open_store(of("command:true")).address.endswith("true")
    from agentkeys.stores.command import CommandStore
    from agentkeys.stores.dotenv.store import DotenvStore
    from agentkeys.stores.keyring import KeyringStore

    assert DotenvStore(of(os.fspath(path)), of("X")).address == f"dotenv:{path}#X"
    assert KeyringStore(of("a"), of("b")).address == "keyring:a#b"
    assert CommandStore([of("true"), of("a b")]).address.endswith("true 'a b'")


@STR
@pytest.mark.asyncio
async def test_a_key_is_issued_under_the_value(of, tmp_path, monkeypatch):
    """Its name, its store and its options."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    async with Wire(answer(200, NEW_INBOX_KEY)) as wire, AgentryClient("t", base_url=wire.url) as c:
        keys = c.agent.api_keys
        await issue(
            keys,
            of("bot"),
            into=of("memory:a subclass's"),
            replace=True,
            exact_name=False,
            permissions={of("read"): True},
        )
    sent = wire.requests[-1].json
    assert sent["name"].startswith("bot~")
    assert sent["permissions"] == {"read": True}
