"""Law 5: an id is one path segment, or it is refused."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import agentity, agentry
from wire import Wire, answer

from agentkeys import InvalidArgumentError
from agentkeys.transport.endpoint import Endpoint, build

BAD = ["", ".", "..", "a\0b", "\ud800", "a\udfffb", None, 7, b"key_1", True, ["x"]]
INBOX = "support@acme.to"
DELETE = Endpoint[None]("DELETE", "/a/{id}/b", returns=None)

SCOPES = {
    "inbox": lambda client, bad: client.inbox(bad),
    "agent inbox": lambda client, bad: client.agent.inbox(bad),
    "pod": lambda client, bad: client.agent.pod(bad),
}
COLLECTIONS = {
    "inbox": lambda client: client.inbox(INBOX).api_keys,
    "tenant": lambda client: client.api_keys,
    "agent tenant": lambda client: client.agent.api_keys,
    "agent inbox": lambda client: client.agent.inbox(INBOX).api_keys,
    "pod": lambda client: client.agent.pod("pod_1").api_keys,
}


@pytest.mark.asyncio
@pytest.mark.parametrize("bad", BAD, ids=repr)
async def test_an_id_that_would_leave_its_segment_is_refused(bad):
    """In every scope, before anything is sent."""
    async with Wire(answer(200)) as wire, agentry(wire.url) as client:
        for scope in SCOPES.values():
            with pytest.raises(InvalidArgumentError, match="_id"):
                scope(client, bad)
        for collection in COLLECTIONS.values():
            with pytest.raises(InvalidArgumentError, match="api_key_id"):
                await collection(client).delete(bad)
        if bad is not None:
            with pytest.raises(InvalidArgumentError, match="inbox_id"):
                client.api_keys.list(inbox_id=bad)
    assert wire.requests == []


@pytest.mark.asyncio
@pytest.mark.parametrize("bad", ["42", "", "../../other", 4.2, None, True, False, b"42", 1 << 65])
async def test_agentitys_ids_are_integers(bad):
    """What is no int never leaves the process."""
    async with Wire(answer(200)) as wire, agentity(wire.url) as client:
        with pytest.raises(InvalidArgumentError, match="id"):
            await client.api_keys.delete(bad)
    assert wire.requests == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "key_id",
    [
        "a/b",
        "../../other",
        "..%2f",
        "%2e%2e",
        "a b",
        "a?b#c",
        "ключ",
        "é",
        "e\u0301",
        "\t\r\n",
        "..;",
    ],
)
@pytest.mark.parametrize("collection", COLLECTIONS.values(), ids=COLLECTIONS.keys())
async def test_everything_else_arrives_byte_for_byte(key_id, collection):
    """Whatever an id holds, the service gets it as the last segment, and nothing else changes."""
    async with Wire(answer(204)) as wire, agentry(wire.url) as client:
        await collection(client).delete(key_id)
        await collection(client).delete("plain")
    weird, plain = (seen.target for seen in wire.requests)
    assert unquote(weird.rsplit("/", 1)[1], errors="strict") == key_id
    assert weird.rsplit("/", 1)[0] == plain.rsplit("/", 1)[0]


@given(st.text(min_size=1))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_segment_stays_a_segment(value):
    """For any text: refused, or one segment that decodes to the same text."""
    try:
        target = build(DELETE, {"id": value}, {}, None).target
    except InvalidArgumentError:
        assert value in {".", ".."} or "\0" in value or not _is_unicode(value)
    else:
        assert urlsplit(target).path.split("/")[1::2] == ["a", "b"]
        assert unquote(target.split("/")[2], errors="strict") == value
        assert target.isascii()


@given(st.integers(-(2**63), 2**64 - 1))
def test_an_integer_is_written_as_it_is(value):
    """Ids of 64 bits arrive in decimal."""
    assert build(DELETE, {"id": value}, {}, None).target == f"/a/{value}/b"


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_a_query_value_stays_a_value(value):
    """A page token with & or = in it is one value."""
    target = build(DELETE, {"id": "x"}, {"page_token": value, "limit": None}, None).target
    assert unquote(urlsplit(target).query.removeprefix("page_token=")) == value


def _is_unicode(value: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
