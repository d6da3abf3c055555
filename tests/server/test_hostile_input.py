"""No input gives a 500, and every refusal has the service's own shape and a request id."""

from __future__ import annotations

import gzip
import io
import json
import logging
import zlib

import pytest
from document import see_that_it_is_named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.asyncio

DEEP = b"[" * 60_000
HUGE = b"9" * 20_000
BODIES = {
    "nothing": b"",
    "blank": b"  ",
    "cut short": b'{"nickname": "a',
    "trailing comma": b'{"nickname": "a",}',
    "two values": b'{"nickname": "a"}{}',
    "not UTF-8": b'{"nickname": "\xff"}',
    "UTF-16": '{"nickname": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"nickname": "a"}',
    "a field twice": b'{"nickname": "a", "nickname": "b", "name": "a"}',
    "a field twice, deep": b'{"nickname": "a", "name": "a", "x": {"y": 1, "y": 2}}',
    "NaN": b'{"nickname": "a", "name": "a", "x": NaN}',
    "Infinity": b'{"nickname": "a", "name": "a", "x": -Infinity}',
    "an overlong number": b'{"nickname": "a", "name": "a", "x": ' + HUGE + b"}",
    "deep nesting": DEEP,
    "deep objects": b'{"a":' * 10_000,
    "a list": b"[]",
    "a string": b'"nickname"',
    "null": b"null",
    "HTML": b"<html></html>",
    "a form": b"nickname=a&name=a",
}
FIELDS = {
    "missing": {},
    "null": None,
    "a number": 5,
    "a bool": True,
    "a list": ["a"],
    "an object": {"a": "b"},
    "empty": "",
    "256 characters": "a" * 256,
    "NUL": "a\0b",
    "a lone surrogate": "a\ud800",
}
NO_KEY_ID = [
    "abc",
    "-1",
    "0",
    "1.0",
    "1e3",
    "+1",
    "%201",
    "1_0",
    "%D9%A1",
    "0x1",
    "9" * 19,
    "9" * 5000,
]
NO_ID = [
    "%00",
    "%ff%fe",
    "%ED%A0%80",
    "%zz",
    "%",
    "..",
    "%2e%2e",
    ".",
    "a%2Fb",
    "a%2fb",
    "{id}",
    "%7Bid%7D",
]


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog):
    """The service has nothing to say about input that it refuses."""
    with caplog.at_level(logging.INFO):
        yield
    assert [record for record in caplog.records if record.name != "asyncio"] == []


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_is_no_json_object_is_a_400(api, body):
    """Whatever is not one JSON object in UTF-8 answers 400, from both services."""
    jwt = await api.access_token()
    answer = await api.send("POST", api.account, token=jwt, data=body)
    assert answer.status == 400
    api.of_agentity(answer)
    answer = await api.send("POST", api.inbox, token=api.service.agentry_token, data=body)
    assert (answer.status, answer.json["errors"][0]["code"]) == (400, "invalid_json")
    api.of_agentry(answer)


@pytest.mark.parametrize("value", FIELDS.values(), ids=FIELDS.keys())
async def test_a_field_that_cannot_be_right_is_a_400(api, value):
    """A nickname or a name that is missing, mistyped, too long or no text answers 400."""
    jwt = await api.access_token()
    body = {} if value == {} else {"nickname": value, "name": value}
    answer = await api.send("POST", api.account, token=jwt, json=body)
    assert (answer.status, "nickname" in answer.json["message"]) == (400, True)
    answer = await api.send("POST", api.inbox, token=api.service.agentry_token, json=body)
    assert (answer.status, answer.json["errors"][0]["path"]) == (400, ["name"])
    api.of_agentry(answer)


@pytest.mark.parametrize("permissions", [5, "a", [], {"a": 1}, {"a": None}, {"\ud800": True}])
async def test_permissions_map_flags_to_bools_or_are_a_400(api, permissions):
    """Permissions that are no map of flag to bool answer 400, and no key is made."""
    body = {"name": "a", "permissions": permissions}
    answer = await api.send(
        "POST", "/agent/v0/api-keys", token=api.service.agentry_token, json=body
    )
    assert (answer.status, answer.json["errors"][0]["path"]) == (400, ["permissions"])
    assert await api.ids(api.tenant) == []


async def test_unknown_fields_are_ignored(api):
    """A body may hold more than the service knows."""
    await api.create(unknown={"deep": [1, 2.5, None]})


@pytest.mark.parametrize("length", [1, 255])
async def test_names_have_1_to_255_characters(api, length):
    """The shortest and the longest name are taken, in characters and not in bytes."""
    jwt = await api.access_token()
    name = "\N{GRINNING FACE}" * length
    answer = await api.send("POST", api.account, token=jwt, json={"nickname": name})
    assert (answer.status, answer.json["nickname"]) == (201, name)
    assert (await api.create(name=name))["name"] == name


@pytest.mark.parametrize("key_id", NO_KEY_ID)
async def test_what_is_no_key_id_of_agentity_is_a_404(api, key_id):
    """An id that is no positive 64-bit decimal is the id of no key."""
    answer = await api.send("DELETE", f"{api.account}/{key_id}", token=await api.access_token())
    assert answer.status == 404
    api.of_agentity(answer)


@pytest.mark.parametrize("segment", NO_ID)
async def test_what_is_no_id_of_agentry_is_a_404(api, segment):
    """An id of any bytes is looked for as it is, and not found."""
    token = api.service.agentry_token
    for method, path in [
        ("GET", f"/human/v0/inboxes/{segment}/api-keys"),
        ("POST", f"/agent/v0/pods/{segment}/api-keys"),
        ("DELETE", f"{api.inbox}/{segment}"),
    ]:
        answer = await api.send(method, path, token=token, json={"name": "a"})
        assert answer.status == 404
        api.of_agentry(answer)


@pytest.mark.parametrize(
    ("inbox_id", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a/b", "a%2fb"),
        ("a%2Fb", "a%252Fb"),
        ("{id}", "%7Bid%7D"),
        ("a b+c", "a%20b+c"),
        ("é\N{GRINNING FACE}", "%C3%A9%F0%9F%98%80"),
        ("?#&=", "%3F%23%26%3D"),
    ],
)
async def test_an_id_arrives_byte_for_byte(api, inbox_id, segment):
    """A percent-encoded path segment stands for exactly one id."""
    await api.service.add_inbox(inbox_id)
    key = await api.create(f"/human/v0/inboxes/{segment}/api-keys")
    assert key["inbox_id"] == inbox_id


@pytest.mark.parametrize(
    "limit", ["0", "101", "-1", "ten", "", "1.0", "1e1", "%2B5", "%D9%A1", "5%00", "9" * 5000]
)
async def test_a_limit_is_a_whole_number_from_1_to_100(api, limit):
    """Any other limit answers 400 and names the parameter."""
    answer = await api.send("GET", f"{api.inbox}?limit={limit}", token=api.service.agentry_token)
    assert (answer.status, answer.json["errors"][0]["path"]) == (400, ["limit"])
    api.of_agentry(answer)


async def test_a_parameter_given_twice_is_a_400(api):
    """Two limits, or two page tokens, are refused: nobody can tell which one is meant."""
    for name in ("limit", "page_token"):
        answer = await api.send(
            "GET", f"{api.inbox}?{name}=1&{name}=2", token=api.service.agentry_token
        )
        assert (answer.status, answer.json["errors"][0]["path"]) == (400, [name])


BAD_CODINGS = {
    "no gzip": ("gzip", b'{"name": "a"}'),
    "gzip cut short": ("gzip", gzip.compress(b'{"name": "a"}', mtime=0)[:-4]),
    "gzip and more": ("gzip", gzip.compress(b'{"name": "a"}', mtime=0) + b"{}"),
    "a wrong checksum": ("gzip", gzip.compress(b'{"name": "a"}', mtime=0)[:-8] + b"\0" * 8),
    "no deflate": ("deflate", b'{"name": "a"}'),
    "br": ("br", b'{"name": "a"}'),
    "zstd": ("zstd", b'{"name": "a"}'),
    "two codings": ("gzip, gzip", gzip.compress(gzip.compress(b'{"name": "a"}', mtime=0))),
    "nonsense": ("\xff;", b'{"name": "a"}'),
}


@pytest.mark.parametrize(("coding", "body"), BAD_CODINGS.values(), ids=BAD_CODINGS.keys())
async def test_a_bad_content_encoding_is_a_400(api, coding, body):
    """A body that does not decode by its Content-Encoding is refused whole, on every route."""
    head = f"Host: localhost\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    token = f"Authorization: Bearer {api.service.agentry_token}\r\n"
    for line in (f"POST {api.inbox} HTTP/1.1\r\n{token}", f"GET {api.tenant} HTTP/1.1\r\n{token}"):
        answer = await api.raw((line + head).encode("latin-1") + body)
        assert (answer.status, answer.json["errors"][0]["code"]) == (400, "content_encoding")
    answer = await api.raw((f"POST {api.account} HTTP/1.1\r\n" + head).encode("latin-1") + body)
    assert answer.status == 400
    api.of_agentity(answer)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("identity", b'{"name": "a"}'),
        ("gzip", gzip.compress(b'{"name": "a"}', mtime=0)),
        ("GZIP", gzip.compress(b'{"name": "a"}', mtime=0)),
        ("deflate", zlib.compress(b'{"name": "a"}')),
    ],
)
async def test_gzip_and_deflate_are_understood(api, coding, body):
    """A compressed body is read like any other."""
    answer = await api.send(
        "POST",
        api.inbox,
        token=api.service.agentry_token,
        data=body,
        headers={"Content-Encoding": coding},
    )
    assert answer.status == 201


def padded(size: int) -> bytes:
    body = b'{"name": "a", "nickname": "a", "x": ""}'
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


async def test_a_body_of_64_kib_is_read_and_a_longer_one_is_a_413(api):
    """The limit is exact, and holds on every route, whether the body is wanted or not."""
    token = api.service.agentry_token
    answer = await api.send("POST", api.inbox, token=token, data=padded(65536))
    assert answer.status == 201
    for method, path in [("POST", api.inbox), ("GET", api.tenant), ("PUT", "/nowhere")]:
        answer = await api.send(method, path, token=token, data=padded(65537))
        assert answer.status == 413
        api.of_agentry(answer)
    answer = await api.send("POST", api.account, data=padded(65537))
    assert answer.status == 413
    api.of_agentity(answer)


async def test_a_long_body_gets_its_answer_and_not_a_reset(api):
    """A client that sends megabytes reads the 413, and the next request is answered."""
    answer = await api.send("POST", api.inbox, token="x", data=io.BytesIO(b"x" * 5_000_000))
    assert answer.status == 413
    await api.create()


async def test_a_bomb_is_a_413(api):
    """A small body that decompresses to a large one is refused before it grows."""
    answer = await api.send(
        "POST",
        api.inbox,
        token=api.service.agentry_token,
        data=gzip.compress(b" " * 30_000_000, mtime=0),
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status == 413


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda value: json.dumps(value).encode(), json_values),
    st.builds(
        lambda a, b: json.dumps({"name": a, "nickname": a, "permissions": b}).encode(),
        json_values,
        json_values,
    ),
)
segments = st.text(st.characters(codec="latin-1"), max_size=12).map(
    lambda text: "".join(f"%{ord(character):02x}" for character in text)
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=bodies, segment=segments, query=segments)
async def test_no_input_gives_a_500(api, body, segment, query):
    """Bodies, ids and parameters of any bytes are taken or refused, never stumbled over."""
    tenant = api.service.agentry_token
    for method, path in [
        ("POST", "/agent/v0/api-keys"),
        ("POST", f"/human/v0/inboxes/{segment}/api-keys"),
        ("GET", f"{api.tenant}?inbox_id={query}&page_token={query}"),
        ("DELETE", f"{api.tenant}/{segment}"),
        ("POST", "/auth/token/refresh"),
        ("POST", "/auth/register"),
    ]:
        answer = await api.send(method, path, token=tenant, data=body)
        assert answer.status < 500, (method, path, body)
        see_that_it_is_named(method, path, answer.status)


tokens = st.one_of(
    st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=60),
    st.builds(
        ".".join, st.lists(st.from_regex(r"[A-Za-z0-9_-]{0,40}", fullmatch=True), max_size=4)
    ),
    st.from_regex(r"ag_[0-9A-Za-z]{38}", fullmatch=True),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(scheme=st.sampled_from(["Bearer ", "bearer", "Basic ", "Digest ", ""]), token=tokens)
async def test_no_authorization_header_gives_a_500(api, scheme, token):
    """An Authorization header of any bytes is a 401 with a challenge."""
    header = f"Authorization: {scheme}{token}\r\n".encode("latin-1")
    for line in (b"GET /auth/api-keys", b"GET /human/v0/api-keys", b"POST /auth/token"):
        answer = await api.raw(line + b" HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n")
        # The parser itself refuses control characters.
        assert answer.status == 401 or (answer.status == 400 and not token.isprintable())
