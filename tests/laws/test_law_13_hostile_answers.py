"""Laws 1, 10 and 13 under attack: whatever comes back, the call ends, and ends right."""

from __future__ import annotations

import gzip
import json
import math
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from answers import SENT, Sent
from background import Background
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import KEY, NEW_KEY, SECRET, TOKEN, agentity
from wire import Wire, answer, raw

from agentkeys import (
    APIError,
    BadRequestError,
    DecodeError,
    RateLimitError,
    RequestError,
    RetryPolicy,
    Secret,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1024 * 1024
NEW_KEY_JSON = json.dumps(NEW_KEY).encode()
RETRY_AFTER = [
    *(b"0", b"1", b"-1", b"1.5", b"1e3", b"1e400", b"nan", b"inf", b"0x10", b"1_000", b"", b","),
    *(b"Wed, 21 Oct 2015 07:28:00 GMT", b"Wed, 31 Feb 9999 25:61:61 GMT", b"Thu, 1 Jan 1 0:0:0"),
    *(
        b"Wednesday, 21-Oct-15 07:28:00 GMT",
        b"Wed Oct 21 07:28:00 2015",
        b"1;2",
        b"soon",
        b"\x1b[2J",
    ),
    *(b"Fri, 99999999999 Dec 9999 23:59:59 GMT", b"Fri, 31 Dec 9999 23:59:59 +9999", b"\x1b[2J"),
]
SALVAGE = b'"key": "%s"' % SECRET.encode()


class Attacked:
    """A client whose every create gets an answer of a test's making."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._count = 0
        self.wire = background.enter(Wire())
        self._client = background.enter(agentity(self.wire.url, retry=RetryPolicy(tries=1)))

    def create(self, *replies: Any) -> Any:
        """Return the new key, or the error; and see that the next call gets its own answer."""
        return self._background.run(self._create(*replies))

    async def _create(self, *replies: Any) -> Any:
        self._count += 1
        listing = {"apiKeys": [{**KEY, "id": self._count}]}
        self.wire.replies = [*replies, answer(200, listing)]
        try:
            result = await self._client.api_keys.create("x", timeout=15)
        except RequestError as error:
            result = error
        (key,) = await self._client.api_keys.list(timeout=15).collect()
        assert key.id == self._count
        return result


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    with Background() as background:
        yield Attacked(background)


def assert_right(sent: Sent, result: Any) -> None:
    """Fail if *result* is not what such an answer must come to."""
    if sent.status >= 300:
        if isinstance(result, TransportError):  # what it is packed in, or its chunks, are no HTTP
            assert not sent.is_whole
            return
        assert isinstance(result, APIError)
        assert result.status == sent.status
        assert SECRET not in f"{result!r}{vars(result)}"
        return
    if sent.is_whole and _is_a_key(sent.body):
        assert result.key == Secret(SECRET)
        return
    if isinstance(result, RequestError):
        assert isinstance(result, DecodeError if sent.is_whole else DecodeError | TransportError)
        assert result.applied == ("yes" if isinstance(result, DecodeError) else "maybe")
        arrived = sent.body if sent.is_whole else sent.arrives
        # What comes after the end that a short length tells is no HTTP. If it comes at once,
        # aiohttp hands out nothing of what was before it.
        is_lost = sent.framing == "short" and "not HTTP" in str(result)
        if SALVAGE in arrived and not is_lost:
            assert result.salvaged == Secret(SECRET)
    else:  # what was changed or cut off did not matter
        assert result.key == Secret(SECRET)


def _is_a_key(body: bytes) -> bool:
    try:
        document = orjson.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and {**document, **NEW_KEY} == document


@given(SENT)
@settings(max_examples=250, derandomize=True)
def test_any_answer_comes_to_the_right_end(attacked, sent):
    """However it is packed, framed and cut: the record, or the right error with the secret."""
    assert_right(sent, attacked.create(sent.reply()))


@pytest.mark.long
@given(SENT)
@settings(max_examples=6_000, derandomize=True)
def test_many_an_answer_comes_to_the_right_end(attacked, sent):
    """The same, for as many as a minute allows."""
    assert_right(sent, attacked.create(sent.reply()))


# What can stand in a header at all: any byte but NUL and those that end a line.
HEADER = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(lambda text: text.encode(errors="replace")),
    st.sampled_from(RETRY_AFTER),
    st.builds(b"%d".__mod__, st.integers()),
    st.floats().map(lambda number: repr(number).encode()),
    st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()),
).map(lambda value: value.translate(None, b"\0\r\n"))


def assert_headers_do_no_harm(attacked: Attacked, waits: bytes, now: bytes, named: bytes) -> None:
    head = b"HTTP/1.1 429 Oh\r\nContent-Length: 0\r\n"
    for name, value in (("Retry-After", waits), ("Date", now), ("X-Request-Id", named)):
        head += b"%s: %s\r\n" % (name.encode(), value)
    error = attacked.create(raw(head + b"\r\n", then_close=False))
    assert isinstance(error, RateLimitError | TransportError)
    assert str(error).isprintable()
    if isinstance(error, RateLimitError):
        assert error.retry_after is None or 0 <= error.retry_after < math.inf
        assert error.request_id is None or error.request_id.isprintable()
        assert TOKEN not in str(error.request_id)


@given(HEADER, HEADER, HEADER | st.just(TOKEN.encode()))
@settings(max_examples=150, derandomize=True)
def test_any_header_does_no_harm(attacked, waits, now, named):
    """A wait is a number or none, an id is one line that no terminal obeys, and shows no token."""
    assert_headers_do_no_harm(attacked, waits, now, named)


@pytest.mark.long
@given(HEADER, HEADER, HEADER | st.just(TOKEN.encode()))
@settings(max_examples=6_000, derandomize=True)
def test_many_a_header_does_no_harm(attacked, waits, now, named):
    """The same, for as many as a minute allows."""
    assert_headers_do_no_harm(attacked, waits, now, named)


def bomb(wbits: int, mib: int) -> bytes:
    """Return spaces, *mib* of them once they are out."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    one = b" " * MIB
    return b"".join([*(packer.compress(one) for _ in range(mib)), packer.flush()])


BOMBS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS, "raw deflate": -zlib.MAX_WBITS}


@pytest.mark.parametrize("status", [201, 400])
@pytest.mark.parametrize("wbits", BOMBS.values(), ids=BOMBS)
def test_a_bomb_takes_no_memory(attacked, wbits, status):
    """What would unpack to 100 MiB never takes half of that, and ends as what is too long."""
    packed = bomb(wbits, 100)
    encoding = "gzip" if wbits > zlib.MAX_WBITS else "deflate"
    reply = answer(status, packed, {"Content-Encoding": encoding})
    tracemalloc.start()
    try:
        error = attacked.create(reply)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 * MIB
    if status == 400:
        assert isinstance(error, BadRequestError)
    else:
        assert isinstance(error, DecodeError)
        assert error.expected == "no more than 10485760 bytes"


@pytest.mark.parametrize("spaces", [0, 5 * MIB, 11 * MIB])
def test_a_secret_before_a_bomb_is_saved(attacked, spaces):
    """A key that is told within what is read is not lost for what follows it."""
    told = NEW_KEY_JSON[:-1] + b" " * spaces + b"}" + b" " * 20 * MIB
    packed = gzip.compress(told, mtime=0)
    error = attacked.create(answer(201, packed, {"Content-Encoding": "gzip"}))
    assert isinstance(error, DecodeError)
    assert error.salvaged == Secret(SECRET)
