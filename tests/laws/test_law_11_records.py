"""Law 11: records are read strictly and tolerantly."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import AT, INBOX_KEY, KEY, NEW_INBOX_KEY, NEW_KEY, agentity, agentry
from wire import Wire, answer

from agentkeys import (
    APIError,
    DecodeError,
    Secret,
)
from agentkeys import (
    agentity as agentity_module,
)
from agentkeys import (
    agentry as agentry_module,
)
from agentkeys.transport.reading import json as our_json
from agentkeys.transport.reading.convert import BadValue, Reader, as_spelt, camel_case

CAMEL, SNAKE = Reader(camel_case), Reader(as_spelt)
EXTRA = {"unknown": {"nested": [1, None]}, "": 0}


def test_agentitys_records_are_read():
    """From camelCase to snake_case, times aware, ids integers."""
    key = CAMEL.read(agentity_module.ApiKey, {**KEY, **EXTRA})
    at = datetime(2024, 1, 1, tzinfo=UTC)
    assert key == agentity_module.ApiKey(42, "production-agent", at, at)
    assert (key.id, key.name) == (42, "production-agent")
    new = CAMEL.read(agentity_module.NewApiKey, NEW_KEY)
    assert new.secret == new.key == Secret("agk_live_abc123def456")


@pytest.mark.parametrize("absent", [{}, {"inbox_id": None, "pod_id": None, "used_at": None}])
def test_agentrys_records_are_read(absent):
    """Optional fields may be absent or null."""
    key = SNAKE.read(agentry_module.ApiKey, {**INBOX_KEY, **absent, **EXTRA})
    assert (key.id, key.name, key.prefix) == ("key_1", "ci", "ag_abc")
    assert (key.inbox_id, key.pod_id, key.used_at, key.permissions) == (None, None, None, None)
    full = {**INBOX_KEY, "inbox_id": "i", "pod_id": "p", "used_at": AT, "permissions": {"a": True}}
    key = SNAKE.read(agentry_module.ApiKey, full)
    assert (key.inbox_id, key.pod_id, key.permissions) == ("i", "p", {"a": True})
    assert key.used_at == datetime(2024, 1, 1, tzinfo=UTC)


def test_records_are_frozen():
    """A record is what the service said, and stays so."""
    key = SNAKE.read(agentry_module.ApiKey, INBOX_KEY)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        key.name = "other"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01T00:00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00:00.5Z", datetime(2024, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-01-01T00:00:00.123456789Z", datetime(2024, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC)),
        ("2024-01-01T01:00:00+01:00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00:00", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_with_and_without_fractions(text, moment):
    """Every ISO 8601 time in UTC is read, and is aware."""
    key = CAMEL.read(agentity_module.ApiKey, {**KEY, "createdAt": text})
    assert key.created_at == moment
    assert key.created_at.utcoffset() in {timedelta(0), timedelta(hours=1)}


WRONG = {
    "id": ["42", 4.0, True, None, [], {}, 2**64, -(2**63) - 1],
    "nickname": [42, None, True, ["x"], {}],
    "createdAt": [
        1704067200,
        "yesterday",
        "",
        "2024-01-01",
        "20240101",
        None,
        True,
        "2024-13-01T00:00Z",
    ],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG.items() for v in values])
def test_a_mistyped_field_is_named(name, value):
    """An int is never turned into a str, null never into "None"; the path says where."""
    document = {"apiKeys": [KEY, {**KEY, name: value}]}
    fault = CAMEL.read(agentity_module._Listing, document)
    assert isinstance(fault, BadValue)
    assert fault.json_path == f"$.apiKeys[1].{name}"
    assert str(value) not in fault.expected or value in (None, "", True)


@pytest.mark.parametrize("name", KEY)
def test_a_missing_field_is_named(name):
    """A field that is not optional must be there."""
    document = {"apiKeys": [{k: v for k, v in KEY.items() if k != name}]}
    fault = CAMEL.read(agentity_module._Listing, document)
    assert fault.json_path == f"$.apiKeys[0].{name}"
    assert "missing" in fault.expected


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        (None, "$", "an object"),
        ([], "$", "an object"),
        ("apiKeys", "$", "an object"),
        ({"apiKeys": {}}, "$.apiKeys", "an array"),
        ({"apiKeys": ""}, "$.apiKeys", "an array"),
        ({"apiKeys": [KEY, None]}, "$.apiKeys[1]", "an object"),
        ({"apiKeys": [KEY, "id"]}, "$.apiKeys[1]", "an object"),
    ],
)
def test_a_document_of_another_shape_is_named(document, path, expected):
    """Not an object, not an array: the path and what was expected."""
    assert CAMEL.read(agentity_module._Listing, document) == BadValue(path, expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("permissions", {"a": 1}, "an object of booleans"),
        ("permissions", [], "an object of booleans"),
        ("used_at", 5, "an ISO 8601 time"),
        ("inbox_id", 5, "a string"),
        ("prefix", None, "a string"),
    ],
)
def test_optional_fields_are_strict_too(name, value, expected):
    """What may be absent may not be wrong."""
    fault = SNAKE.read(agentry_module.ApiKey, {**INBOX_KEY, name: value})
    assert fault == BadValue(f"$.{name}", expected)


@pytest.mark.parametrize("value", ["", None, 5])
def test_a_new_key_without_a_secret_is_refused(value):
    """A create that tells no secret has not done its job."""
    fault = SNAKE.read(agentry_module.NewApiKey, {**NEW_INBOX_KEY, "api_key": value})
    assert fault.json_path == "$.api_key"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON | st.fixed_dictionaries({"api_keys": st.lists(JSON), "next_page_token": JSON}))
def test_any_document_is_a_record_or_a_fault(document):
    """Nothing that a service can say raises."""
    found = SNAKE.read(agentry_module._Listing, document)
    assert isinstance(found, agentry_module._Listing | BadValue)


BAD_JSON = {
    "empty": b"",
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "a lone surrogate": b'"\\ud800"',
    "a lone low surrogate": b'{"\\uDC00": 1}',
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "two BOMs": b"\xef\xbb\xbf" * 2 + b"{}",
    "a BOM and nothing": b"\xef\xbb\xbf",
    "a BOM inside": b"{\xef\xbb\xbf}",
    "not UTF-8": b'"\xff"',
    "a comma": b"[1,]",
    "HTML": b"<html>",
    "a huge int": b"1" * 5000 + b"x",
}
LOADS = {"json": our_json._stdlib_loads, "orjson": our_json.loads}
loads = pytest.mark.parametrize("read", LOADS.values(), ids=LOADS.keys())


@loads
@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_both_json_readers_refuse_the_same(read, body):
    """Both orjson and the standard library end in the same error."""
    with pytest.raises(ValueError):  # noqa: PT011  # each has its own words, which nobody sees
        read(body)


@loads
def test_both_json_readers_ignore_a_byte_order_mark(read):
    """Some services begin every answer with one (RFC 8259, 8.1)."""
    assert read(b'\xef\xbb\xbf{"a": "\xef\xbb\xbf"}') == {"a": "\ufeff"}


@loads
@given(JSON)
def test_both_json_readers_read_the_same(read, document):
    """And what one reads, the other reads too."""
    body = json.dumps(document).encode()
    try:
        expected = json.loads(body)
        found = read(body)
    except ValueError:
        assert any(abs(n) >= 2**63 or math.isinf(n) for n in _numbers(document)) or _lone(document)
    else:
        assert found == pytest.approx(expected) if isinstance(found, float) else True


def _numbers(document: object) -> list[float]:
    if isinstance(document, dict):
        return [n for value in document.values() for n in _numbers(value)]
    if isinstance(document, list):
        return [n for value in document for n in _numbers(value)]
    return [document] if isinstance(document, int | float) else []


def _lone(document: object) -> bool:
    return any(0xD800 <= ord(c) < 0xE000 for c in json.dumps(document, ensure_ascii=False))


@pytest.mark.asyncio
@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON.keys())
async def test_an_answer_that_is_no_json_is_a_decode_error(body):
    """The service did it, and its answer cannot be read: `applied` is "yes"."""
    async with Wire(answer(200, body)) as wire, agentry(wire.url) as client:
        with pytest.raises(DecodeError, match=r"expected JSON at \$") as caught:
            await client.api_keys.create("ci")
    assert (caught.value.applied, caught.value.json_path) == ("yes", "$")


@pytest.mark.asyncio
async def test_answers_with_a_byte_order_mark_are_read():
    """A listing, and the answer to a create with its secret."""
    body = b"\xef\xbb\xbf" + json.dumps({"api_keys": [INBOX_KEY]}).encode()
    async with Wire(answer(200, body)) as wire, agentry(wire.url) as client:
        assert [key.id async for key in client.api_keys.list()] == ["key_1"]
    body = b"\xef\xbb\xbf" + json.dumps(NEW_INBOX_KEY).encode()
    async with Wire(answer(201, body)) as wire, agentry(wire.url) as client:
        assert (await client.api_keys.create("ci")).secret.reveal() == "ag_abc123def456"


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [200, 201, 202, 299])
async def test_any_2xx_with_a_record_is_a_success(status):
    """The contract leaves a create's status open."""
    async with Wire(answer(status, NEW_KEY)) as wire, agentity(wire.url) as client:
        assert (await client.api_keys.create("x")).id == 42
    async with Wire(answer(status, NEW_INBOX_KEY)) as wire, agentry(wire.url) as client:
        assert (
            await client.agent.api_keys.create("x", permissions={"read_inbox": True})
        ).id == "key_1"
    assert wire.requests[0].json == {"name": "x", "permissions": {"read_inbox": True}}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "reply",
    [
        answer(200),
        answer(204),
        answer(200, {"message": "bye"}),
        answer(200, b"<html>"),
        answer(202, b"["),
    ],
)
async def test_a_deletes_answer_is_dropped(reply):
    """With or without a body, of whatever kind."""
    async with Wire(reply) as wire, agentity(wire.url) as client:
        assert await client.api_keys.delete(1) is None
    assert len(wire.requests) == 1


ERRORS = [
    ({"message": "Forbidden"}, None, "Forbidden"),
    ({"name": "NotFoundError", "message": "gone"}, "NotFoundError", "gone"),
    ({"error": "gone"}, None, "gone"),
    ({"error": "not_found", "message": "gone"}, "not_found", "gone"),
    ({"error": {"code": "E1", "message": "gone"}}, "E1", "gone"),
    ({"detail": "gone"}, None, "gone"),
    ({"code": "E1", "detail": "gone"}, "E1", "gone"),
    ({"message": ["a", "b"]}, None, "a; b"),
    ({"code": 17, "message": "gone"}, "17", "gone"),
    ({}, None, None),
    ({"message": None, "errors": None}, None, None),
    ({"message": {"x": 1}}, None, None),
    ([1, 2], None, None),
    ("gone", None, "gone"),
    (None, None, None),
    (b"plain words", None, "plain words"),
    (b'\xef\xbb\xbf{"message": "gone", "code": "E1"}', "E1", "gone"),
    (b"\xef\xbb\xbfplain words", None, "plain words"),
    (b"\xef\xbb\xbf<html><title>Bad Gateway</title>", None, "Bad Gateway"),
    (b"<html><h1>Bad Gateway</h1></html>", None, None),
    (b"\n<!DOCTYPE html><html><TITLE>Bad\n&amp; Sad</TITLE><p>x", None, "Bad & Sad"),
    (b"<html><title" * 5000, None, None),
    (b"<no page at all>", None, "<no page at all>"),
    (b"\xff\x00\x1b[31mred", None, "\ufffd [31mred"),
    (b"[" * 50_000, None, "[" * 1000 + "..."),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("body", "code", "message"), ERRORS)
async def test_error_bodies_of_every_shape(body, code, message):
    """JSON, text, HTML or nothing: the parser requires nothing. Of a page it takes the title."""
    async with (
        Wire(answer(403, body, {"X-Request-Id": "req_1"})) as wire,
        agentry(wire.url) as client,
    ):
        with pytest.raises(APIError) as caught:
            await client.api_keys.create("ci")
    error = caught.value
    assert (error.status, error.code, error.message, error.request_id) == (
        403,
        code,
        message,
        "req_1",
    )
    assert "\n" not in str(error)
    assert str(error).isprintable()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([{"code": "too_big", "path": ["limit"], "message": "at most 100"}], "limit: at most 100"),
        ([{"code": "too_big", "path": ["a", 0, "b"]}], "a.0.b: too_big"),
        ([{"message": "one"}, "two", 3, None, {}], "one; two; 3"),
        ({"message": "alone"}, "alone"),
        ("in words", "in words"),
        ([{"path": {"x": 1}, "message": [1]}], "Bad Request: Oops: check"),
    ],
)
async def test_details_are_in_the_errors_text(errors, words):
    """Where the service says what is wrong in `errors` alone, the sentence says it too."""
    body = {"name": "Oops", "errors": errors}
    async with Wire(answer(400, body)) as wire, agentry(wire.url) as client:
        with pytest.raises(APIError) as caught:
            await client.api_keys.create("ci")
    assert words in str(caught.value)


@pytest.mark.parametrize("offset", [UTC, timezone(timedelta(hours=2))])
def test_names_are_views(offset):
    """`id` and `name` serve code for both services."""
    at = datetime(2024, 1, 1, tzinfo=offset)
    assert agentity_module.ApiKey(1, "a", at, at).name == "a"
    assert agentry_module.NewApiKey("k", Secret("s"), "a", "p", at).id == "k"
