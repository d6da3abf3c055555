"""Law 11: the secret of a new key is salvaged from an answer that cannot be read, however deep."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import attrs
import pytest
from samples import AT, AT_ONCE, NEW_KEY, SECRET, agentity
from wire import Wire, answer

from agentkeys import DecodeError, TransportError
from agentkeys.secret import Secret
from agentkeys.transport.call.endpoint import Endpoint
from agentkeys.transport.client import Client
from agentkeys.transport.reading.convert import Reader, camel_case
from agentkeys.transport.reading.salvage import salvaged
from agentkeys.transport.settings import Service


@attrs.frozen
class New:
    id: int
    made_at: datetime
    pass_code: Secret


@attrs.frozen
class Envelope:
    data: New
    key: str = ""


@attrs.frozen
class ManyEnvelopes:
    results: tuple[Envelope, ...]


@attrs.frozen
class ByName:
    by_name: dict[str, New | None]


@attrs.frozen
class Codes:
    id: int
    codes: list[Secret]


@attrs.frozen
class Optional:
    id: int
    pass_code: Secret | None = None


NEW = {"id": 1, "madeAt": AT, "passCode": "the code"}
BAD = {**NEW, "id": "1"}
IN_DATA = {"key": "no secret", "data": BAD}


def creating(record: type) -> type[Client]:
    class Gate(Client):
        _service = Service("Gate", "https://gate.test", "GATE_BASE_URL", Reader(camel_case))

        async def create(self) -> Any:
            endpoint = Endpoint("POST", "/passes", returns=record)
            return await self._session.call(endpoint, json={})

    return Gate


@pytest.mark.parametrize(
    ("record", "document", "path"),
    [
        (New, BAD, "$.id"),
        (New, {"data": NEW}, "$.id"),
        (New, [NEW], "$"),
        (New, {"a": [[{"b": {"c": BAD}}]]}, "$.id"),
        (New, {"body": json.dumps(NEW)}, "$.id"),
        (New, {**BAD, "passCode": ["the code"]}, "$.id"),
        (New, {"id": 1, "made_at": AT, "pass_code": "the code"}, "$.madeAt"),
        (New, {"id": 1, "madeAt": AT, "PassCode": "the code"}, "$.passCode"),
        (Envelope, IN_DATA, "$.data.id"),
        (Envelope, {"passCode": "another", "data": BAD}, "$.data.id"),
        (Envelope, NEW, "$.data"),
        (Envelope, {"data": [NEW]}, "$.data"),
        (ManyEnvelopes, {"results": [IN_DATA]}, "$.results[0].data.id"),
        (ManyEnvelopes, {"results": [{"data": NEW}, 5]}, "$.results[1]"),
        (ByName, {"byName": {"a": None, "b": BAD}}, "$.byName[*].id"),
        (Codes, {"id": None, "codes": ["the code", "second"]}, "$.id"),
        (Codes, {"data": {"codes": ["the code"]}}, "$.id"),
        (Optional, {"id": None, "passCode": "the code"}, "$.id"),
    ],
)
@pytest.mark.asyncio
async def test_a_secret_in_an_envelope_is_salvaged(record, document, path):
    """Where the record has it; else wherever a field of its name stands, the nearest first."""
    async with Wire(answer(201, document)) as wire:
        async with creating(record)("token", base_url=wire.url) as gate:
            with pytest.raises(DecodeError) as caught:
                await gate.create()
    assert caught.value.json_path == path
    assert caught.value.salvaged == Secret("the code")
    assert "the code" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": {"passCode": "the code", "id": ',
        b'{"data": {"pass_code" : "the code"',
        b'{"data": [{"passCode": ["the code"',
        b'one " too many {"passCode": "the code"',
        b'{"data": {"note": "\\"passCode\\": \\"no\\"", "passCode": "the code"]',
    ],
)
@pytest.mark.asyncio
async def test_a_secret_in_an_envelope_that_was_cut_is_salvaged(body):
    """Of an answer that is no JSON, or whose end is missing."""
    async with Wire(answer(201, body), answer(201, body, length=999)) as wire:
        async with creating(Envelope)("token", base_url=wire.url, retry=AT_ONCE) as gate:
            with pytest.raises(DecodeError) as decode:
                await gate.create()
            with pytest.raises(TransportError) as transport:
                await gate.create()
    assert decode.value.salvaged == transport.value.salvaged == Secret("the code")


@pytest.mark.parametrize(
    "document",
    [
        {"data": {"passCode": ""}},
        {"data": {"passCode": 5}},
        {"data": {"passCode": None, "passCodes": "x"}},
        {"data": "passCode"},
        {},
    ],
)
@pytest.mark.asyncio
async def test_nothing_else_is_taken_for_the_secret(document):
    """A field of another name, or what is no secret."""
    async with Wire(answer(201, document)) as wire:
        async with creating(Envelope)("token", base_url=wire.url) as gate:
            with pytest.raises(DecodeError) as caught:
                await gate.create()
    assert caught.value.salvaged is None


@pytest.mark.asyncio
async def test_an_envelope_without_end_is_no_foreign_exception():
    """The secret in a thousand levels, as far as JSON is read, and the error is ours."""
    deep = b'{"data":' * 900 + json.dumps(NEW_KEY).encode() + b"}" * 900
    async with Wire(answer(201, deep)) as wire, agentity(wire.url) as client:
        with pytest.raises(DecodeError) as caught:
            await client.api_keys.create("ci")
    assert caught.value.salvaged == Secret(SECRET)


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * 500_000,
        b'{"passCode"' + b" " * 500_000 + b"[" + b" " * 500_000,
        b'"a":' * 300_000,
        b'"passCode":[5,' * 100_000,
        b"[" * 1_000_000,
        b'{"passCode": "' + b"x" * 1_000_000,
    ],
    ids=["quotes", "spaces", "fields", "names", "brackets", "no end"],
)
def test_no_answer_takes_long_to_search(body):
    """However hostile: each piece of it is read once or twice."""
    begun = time.process_time()
    assert salvaged(body, Envelope, Reader(camel_case), is_whole=False) is None
    assert time.process_time() - begun < 2
