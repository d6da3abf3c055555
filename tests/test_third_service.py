"""A third service is one new file: this one, from here to the tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attempt_files
import attrs
import pytest
from samples import AT_ONCE, jwt
from wire import Seen, Wire, answer

from agentkeys import ConfigurationError, DecodeError, NotFoundError, Swept, arguments, sweep
from agentkeys.credentials import BearerToken, Caller, Renewable, Token
from agentkeys.keys import Record, listed
from agentkeys.paging import Page, Pager
from agentkeys.secret import Secret
from agentkeys.transport.call.endpoint import Endpoint
from agentkeys.transport.client import Client
from agentkeys.transport.collection import Keys, Place
from agentkeys.transport.reading.convert import Milliseconds, Reader, camel_case
from agentkeys.transport.settings import Service, variable

if TYPE_CHECKING:
    from agentkeys.transport.session import Session


@attrs.frozen
class Pass(Record):
    id: int
    label: str
    made_at: Milliseconds
    is_master: bool = False

    @property
    def name(self) -> str:
        return self.label

    @property
    def created_at(self) -> datetime:
        return self.made_at


@attrs.frozen
class NewPass(Pass):
    pass_code: Secret = attrs.field(kw_only=True)

    @property
    def secret(self) -> Secret:
        return self.pass_code

    def listed(self) -> Pass:
        return listed(self, Pass)


@attrs.frozen
class Listing:
    passes: tuple[Pass, ...]
    next: str | None = None


@attrs.frozen
class Ticket:
    ticket: Secret


CREATE: Final = Endpoint("POST", "/passes", returns=NewPass)
LIST: Final = Endpoint("GET", "/passes", returns=Listing, idempotent=True)
DELETE: Final = Endpoint[None]("DELETE", "/passes/{id}", returns=None, idempotent=True)
LOGIN: Final = Endpoint("POST", "/login", returns=Ticket, idempotent=True, authorization=None)


class Pin(Renewable):
    def __init__(self, pin: str) -> None:
        super().__init__()
        self._pin = Secret(pin)

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        found = await caller.call(LOGIN, json={"pin": self._pin}, timeout=timeout)
        return Token.of_jwt(found.ticket)


class Passes(Keys[NewPass]):
    """The passes of one house, which the service is told in the body and the query."""

    def __init__(self, session: Session, house: str) -> None:
        super().__init__(session, Place(CREATE, body={"house": house}))
        self._house = house

    async def create(self, label: str, *, timeout: float | None = None) -> NewPass:
        label = arguments.text("label", label)
        return await self._make(label, {"label": label}, timeout)

    def list(self, *, timeout: float | None = None) -> Pager[Pass]:
        async def fetch(token: str | None) -> Page[Pass]:
            query = {"house": self._house, "next": token}
            found = await self._session.call(LIST, query=query, timeout=timeout)
            return Page(found.passes, found.next)

        return Pager(fetch)

    async def delete(self, pass_id: int, *, timeout: float | None = None) -> None:
        await self._session.call(DELETE, path={"id": pass_id}, timeout=timeout)


class Gate(Client):
    _service = Service("Gate", "https://gate.test", "GATE_BASE_URL", Reader(camel_case))

    @classmethod
    def _from_environment(cls):
        return Pin((variable("GATE_PIN") or Secret("0000")).reveal())

    def passes(self, house: str) -> Passes:
        return Passes(self._session, arguments.text("house", house))


PASS = {"id": 1, "label": "door", "madeAt": 1704067200000, "isMaster": True}


@pytest.mark.asyncio
async def test_a_third_service_gets_login_retries_pages_errors_and_records(monkeypatch):
    """All of it comes from what agentity uses too."""
    monkeypatch.setenv("GATE_PIN", "1234")
    replies = {
        ("POST", "/login"): [answer(200, {"ticket": jwt()})],
        ("POST", "/passes"): [
            answer(429),
            answer(201, {**PASS, "passCode": "xyz"}),
            answer(201, {"passCode": "xyz"}),
        ],
        ("GET", "/passes?house=a"): [answer(503), answer(200, {"passes": [PASS], "next": "2"})],
        ("GET", "/passes?house=a&next=2"): [answer(200, {"passes": [{**PASS, "id": 2}]})],
        ("DELETE", "/passes/1"): [answer(204)],
        ("DELETE", "/passes/9"): [answer(404)],
    }

    def reply(seen: Seen):
        return replies[seen.method, seen.target].pop(0)

    async with Wire(reply) as wire, Gate(base_url=wire.url, retry=AT_ONCE) as gate:
        passes = gate.passes("a")
        new = await passes.create("door")
        assert (new.secret.reveal(), new.is_master) == ("xyz", True)
        assert new.created_at == datetime(2024, 1, 1, tzinfo=UTC)
        assert [each.id async for each in passes.list()] == [1, 2]
        await passes.delete(1)
        with pytest.raises(NotFoundError):
            await passes.delete(9)
        with pytest.raises(DecodeError) as caught:
            await passes.create("door")
    assert caught.value.salvaged == Secret("xyz")
    assert [seen.json for seen in wire.requests[:2]] == [
        {"pin": "1234"},
        {"house": "a", "label": "door"},
    ]
    assert not any(replies.values())


@pytest.mark.asyncio
async def test_collections_that_differ_in_the_body_of_their_create_are_other_places(
    monkeypatch, tmp_path
):
    """Their scopes differ, and a sweep of the one leaves the attempts of the other alone."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))
    async with (
        Wire(answer(200, {"passes": []})) as wire,
        Gate(BearerToken(jwt()), base_url=wire.url) as gate,
    ):
        ours, theirs = gate.passes("a"), gate.passes("b")
        assert ours.scope != theirs.scope
        assert ours.scope == gate.passes("a").scope
        attempt_files.begin(theirs.scope, "door~aaaaaa", "aaaaaa").release()
        assert await sweep(ours) == Swept()
        assert wire.requests == []
        assert (await sweep(theirs)).waiting == ("door~aaaaaa",)


@attrs.frozen
class Strange(NewPass):
    house: bytes = b""


@pytest.mark.asyncio
async def test_no_key_is_made_that_could_not_be_read():
    """A field of a type that is never read is said before the create is sent."""
    async with Wire(answer(201, PASS)) as wire, Gate("token", base_url=wire.url) as gate:
        passes = gate.passes("a")
        passes._place = Place(Endpoint("POST", "/passes", returns=Strange))
        with pytest.raises(TypeError, match="bytes"):
            await passes.create("door")
    assert wire.requests == []


class Tokens(Client):
    """A service whose credentials are always passed in."""

    _service = Gate._service


def test_a_client_that_takes_nothing_from_the_environment_says_so():
    """It is a ConfigurationError, as with any client without credentials."""
    with pytest.raises(ConfigurationError, match="pass them"):
        Tokens()


def test_a_third_service_is_one_short_file():
    """Under 100 lines, between the imports and the tests."""
    with open(__file__) as file:  # noqa: PTH123  # this very file
        own = (
            file.read()
            .partition("\n\n\n@attrs.frozen\nclass Pass(Record):")[2]
            .partition("PASS = ")[0]
        )
    assert sum(bool(line.strip()) for line in own.splitlines()) < 100
