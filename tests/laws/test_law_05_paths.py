"""Law 5: an id is one path segment, or it is refused."""

from __future__ import annotations

from urllib.parse import unquote, unquote_to_bytes, urlsplit

import pytest
from background import Background
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import NEW_INBOX_KEY, agentity, agentry
from wire import Wire, answer

from agentkeys import InvalidArgumentError
from agentkeys.transport.call.endpoint import Endpoint, build

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


# All of Unicode, lone surrogates too; what paths are made of; and what is long.
IDS = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.text("./\\%?#;&=+:@ \0\r\n\t2eEfF", max_size=12),
    st.text("./%2eEfF", min_size=1, max_size=4),
    st.builds(str.__mul__, st.text(min_size=1, max_size=10), st.integers(100, 300)),
)
WITH_ID = {
    "an inbox": lambda client, it: client.inbox(it).api_keys,
    "an agent's inbox": lambda client, it: client.agent.inbox(it).api_keys,
    "a pod": lambda client, it: client.agent.pod(it).api_keys,
}
VERBS = {
    "create": lambda keys: keys.create("ci"),
    "list": lambda keys: keys.list().first(),
    "delete": lambda keys: keys.delete("key_1"),
}
# Every call that takes an id: as a scope for each verb, as a key's in each scope, as a filter.
CALLS = {
    **{
        f"{verb} in {scope}": lambda client, it, keys=keys, do=do: do(keys(client, it))
        for scope, keys in WITH_ID.items()
        for verb, do in VERBS.items()
    },
    **{
        f"a key in {scope}": lambda client, it, keys=keys: keys(client).delete(it)
        for scope, keys in COLLECTIONS.items()
    },
    "list of an inbox": lambda client, it: client.api_keys.list(inbox_id=it).first(),
    "list from a token": lambda client, it: client.api_keys.list(page_token=it).first(),
}
ANSWERS = {
    "POST": answer(200, NEW_INBOX_KEY),
    "GET": answer(200, {"api_keys": []}),
    "DELETE": answer(204),
}


@pytest.fixture(scope="module")
def asked():
    """Return what asks for something with an id, in every way, and shows what the server saw."""
    with Background() as background:
        wire = background.enter(Wire(lambda seen: ANSWERS[seen.method]))
        client = background.enter(agentry(wire.url))

        async def targets(value: str) -> dict[str, str | None]:
            """Return what each call sent; None if it was refused, and nothing sent."""
            return {name: await target(call, value) for name, call in CALLS.items()}

        async def target(call, value: str) -> str | None:
            wire.requests.clear()
            try:
                await call(client, value)
            except InvalidArgumentError:
                assert wire.requests == []
                return None
            (seen,) = wire.requests
            return seen.target

        plain = background.run(targets("PLAIN"))
        yield lambda value: (plain, background.run(targets(value)))


def assert_each_id_is_a_segment(asked, value: str) -> None:
    plain, sent = asked(value)
    for name, target in sent.items():
        is_a_token = name == "list from a token"
        leaves = value in {"", ".", ".."} or "\0" in value
        is_refused = not _is_unicode(value) or (value == "" if is_a_token else leaves)
        assert (target is None) == is_refused
        if target is None:
            continue
        before, after = plain[name].split("PLAIN")
        assert target.isascii()
        assert target.startswith(before)
        assert target.endswith(after)
        segment = target[len(before) : len(target) - len(after)]
        assert not set(segment) & set("/?#&;=+ \\")
        assert unquote_to_bytes(segment) == value.encode()


@given(IDS)
@settings(max_examples=150, derandomize=True)
def test_on_the_wire_an_id_stays_where_it_belongs(asked, value):
    """In every call that takes one: refused and no byte sent, or there it is, byte for byte."""
    assert_each_id_is_a_segment(asked, value)


@pytest.mark.long
@given(IDS)
@settings(max_examples=2000, derandomize=True)
def test_many_an_id_stays_where_it_belongs(asked, value):
    """The same, for as many as a minute allows."""
    assert_each_id_is_a_segment(asked, value)
