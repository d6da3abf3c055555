"""A third service is one new file: this one, from here to the tests."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import attrs
import pytest
from samples import AT, AT_ONCE, jwt
from wire import Seen, Wire, answer

from agentkeys import DecodeError, NotFoundError
from agentkeys.credentials import Caller, Renewable, Token
from agentkeys.paging import Page, Pager
from agentkeys.secret import Secret
from agentkeys.transport import check
from agentkeys.transport.client import Client
from agentkeys.transport.convert import Reader, camel_case
from agentkeys.transport.endpoint import Endpoint
from agentkeys.transport.settings import Service, variable


@attrs.frozen
class Pass:
    id: int
    label: str
    made_at: datetime


@attrs.frozen
class NewPass(Pass):
    pass_code: Secret


@attrs.frozen
class Passes:
    passes: tuple[Pass, ...]
    next: str | None = None


@attrs.frozen
class Ticket:
    ticket: Secret


CREATE: Final = Endpoint("POST", "/passes", returns=NewPass)
LIST: Final = Endpoint("GET", "/passes", returns=Passes, idempotent=True)
DELETE: Final = Endpoint[None]("DELETE", "/passes/{id}", returns=None, idempotent=True)
LOGIN: Final = Endpoint("POST", "/login", returns=Ticket, idempotent=True, authorization=None)


class Pin(Renewable):
    def __init__(self, pin: str) -> None:
        super().__init__()
        self._pin = Secret(pin)

    async def fetch(self, caller: Caller, timeout: float) -> Token:
        found = await caller.call(LOGIN, json={"pin": self._pin}, timeout=timeout)
        return Token.of_jwt(found.ticket)


class Gate(Client):
    _service = Service("Gate", "https://gate.test", "GATE_BASE_URL", Reader(camel_case))

    @classmethod
    def _from_environment(cls):
        return Pin((variable("GATE_PIN") or Secret("0000")).reveal())

    async def create(self, label: str) -> NewPass:
        json = {"label": check.text("label", label)}
        return await self._session.create(CREATE, name=label, json=json, delete=self.delete)

    def list(self) -> Pager[Pass]:
        async def fetch(token: str | None) -> Page[Pass]:
            found = await self._session.call(LIST, query={"next": token})
            return Page(found.passes, found.next)

        return Pager(fetch)

    async def delete(self, pass_id: int) -> None:
        await self._session.call(DELETE, path={"id": pass_id})


PASS = {"id": 1, "label": "door", "madeAt": AT}


@pytest.mark.asyncio
async def test_a_third_service_gets_login_retries_pages_errors_and_records(monkeypatch):
    """All of it comes from what agentity.py uses too."""
    monkeypatch.setenv("GATE_PIN", "1234")
    replies = {
        ("POST", "/login"): [answer(200, {"ticket": jwt()})],
        ("POST", "/passes"): [
            answer(429),
            answer(201, {**PASS, "passCode": "xyz"}),
            answer(201, {"passCode": "xyz"}),
        ],
        ("GET", "/passes"): [answer(503), answer(200, {"passes": [PASS], "next": "2"})],
        ("GET", "/passes?next=2"): [answer(200, {"passes": [{**PASS, "id": 2}]})],
        ("DELETE", "/passes/1"): [answer(204)],
        ("DELETE", "/passes/9"): [answer(404)],
    }

    def reply(seen: Seen):
        return replies[seen.method, seen.target].pop(0)

    async with Wire(reply) as wire, Gate(base_url=wire.url, retry=AT_ONCE) as gate:
        assert (await gate.create("door")).pass_code.reveal() == "xyz"
        assert [each.id async for each in gate.list()] == [1, 2]
        await gate.delete(1)
        with pytest.raises(NotFoundError):
            await gate.delete(9)
        with pytest.raises(DecodeError) as caught:
            await gate.create("door")
    assert caught.value.salvaged == Secret("xyz")
    assert wire.requests[0].json == {"pin": "1234"}
    assert not any(replies.values())


def test_it_really_is_one_short_file():
    """Under 80 lines, between the imports and the tests."""
    with open(__file__) as file:  # noqa: PTH123  # this very file
        own = file.read().partition("\n\n\n@attrs.frozen\nclass Pass:")[2].partition("PASS = ")[0]
    assert sum(bool(line.strip()) for line in own.splitlines()) < 80
