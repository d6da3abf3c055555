"""Law 13, of what stands before a body and around it: bounded, generous, and nothing is lost."""

from __future__ import annotations

import gzip
import json
import zlib

import aiohttp
import pytest
from samples import NEW_KEY, SECRET, agentity
from wire import Wire, answer

from agentkeys import BadRequestError, DecodeError, Secret, TransportError

pytestmark = pytest.mark.asyncio

MADE = json.dumps(NEW_KEY).encode()
lent_or_not = pytest.mark.parametrize("is_lent", [False, True])


def fields(number: int, length: int) -> dict[str, str]:
    return {f"X-Field-{n}": "x" * length for n in range(number)}


async def create(reply, *, is_lent=False):
    """Return what a create comes to that is answered so."""
    async with Wire(reply) as wire, aiohttp.ClientSession() as lent:
        async with agentity(wire.url, session=lent if is_lent else None) as client:
            return await client.api_keys.create("x")


HEADS = {
    "9 kB in one field": fields(1, 9_000),
    "60 kB in one field": fields(1, 60_000),
    "200 fields": fields(200, 10),
    "1000 fields": fields(1000, 40),
}


@lent_or_not
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_long_head_costs_no_key(head, is_lent):
    """A policy of 9 kB, or a proxy that adds fields, is no reason to throw a new key away."""
    assert (await create(answer(201, NEW_KEY, head), is_lent=is_lent)).id == 42


@lent_or_not
async def test_a_head_beyond_64_kib_loses_no_secret(is_lent):
    """It is an error, for all is bounded; but the key was made, and its secret has come."""
    with pytest.raises(DecodeError, match="64 KiB") as caught:
        await create(answer(201, NEW_KEY, fields(20, 4_000)), is_lent=is_lent)
    assert (caught.value.applied, caught.value.salvaged) == ("yes", Secret(SECRET))


@pytest.mark.parametrize("head", [fields(1, 66_000), fields(3000, 1)], ids=["long", "many"])
async def test_a_head_that_is_not_read_is_called_so(head):
    """It is HTTP, and the sentence says what is wrong with it."""
    with pytest.raises(TransportError, match="head of the answer") as caught:
        await create(answer(201, NEW_KEY, head))
    assert caught.value.applied == "maybe"
    assert "not HTTP" not in str(caught.value)


async def test_only_gzip_is_asked_for():
    """No deflate, which two formats go by; and nothing that a library more or less decides."""
    async with Wire(answer(200, {"apiKeys": []})) as wire, agentity(wire.url) as client:
        await client.api_keys.list().collect()
    assert wire.requests[0].headers["accept-encoding"] == "gzip"


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKED = {
    "gzip": ("gzip", gzip.compress(MADE)),
    "x-gzip": ("x-gzip", gzip.compress(MADE)),
    "capitals": ("GZIP", gzip.compress(MADE)),
    "two members": ("gzip", gzip.compress(MADE[:30]) + gzip.compress(MADE[30:])),
    "an empty member": ("gzip", gzip.compress(MADE) + gzip.compress(b"")),
    "bytes behind the end": ("gzip", gzip.compress(MADE) + b"\0\0\0"),
    "twice": ("gzip, x-gzip", gzip.compress(gzip.compress(MADE))),
    "and identity": ("gzip, identity", gzip.compress(MADE)),
    "identity": ("identity", MADE),
    "nothing named": ("", MADE),
    "deflate": ("deflate", zlib.compress(MADE)),
    "bare deflate": ("deflate", bare(MADE)),
}


@lent_or_not
@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED)
async def test_a_body_is_unpacked(encoding, body, is_lent):
    """Whatever RFC 9110 calls gzip, and deflate if it comes unasked."""
    reply = answer(201, body, {"Content-Encoding": encoding})
    assert (await create(reply, is_lent=is_lent)).key == Secret(SECRET)


LONG = MADE + b" " * 5_000
DAMAGED = {
    "another checksum": ("gzip", gzip.compress(MADE)[:-8] + b"12345678", True),
    "no checksum": ("gzip", gzip.compress(MADE)[:-8], True),
    "the end missing": ("gzip", gzip.compress(LONG)[:-12], True),
    "the end damaged": ("gzip", gzip.compress(LONG)[:-16] + b"\xff" * 16, True),
    "a damaged second member": ("gzip", gzip.compress(MADE) + gzip.compress(MADE)[:-20], True),
    "no gzip at all": ("gzip", b"\x01\x02\x03", False),
    "another encoding": ("br", b"\x01\x02\x03", False),
    "an unknown one": ("gzip, aes128gcm", gzip.compress(MADE), False),
}


@lent_or_not
@pytest.mark.parametrize(("encoding", "body", "is_salvaged"), DAMAGED.values(), ids=DAMAGED)
async def test_a_body_that_cannot_be_decoded_is_called_so(encoding, body, is_salvaged, is_lent):
    """It came whole, so it was not cut short; what could be decoded is searched for a secret."""
    with pytest.raises(DecodeError, match="decoded") as caught:
        await create(answer(201, body, {"Content-Encoding": encoding}), is_lent=is_lent)
    assert "cut short" not in str(caught.value)
    assert caught.value.applied == "yes"
    assert caught.value.salvaged == (Secret(SECRET) if is_salvaged else None)


@pytest.mark.parametrize("length", [1, 10, 20, 50])
async def test_a_short_length_ends_a_deflated_body_at_once(length):
    """A Content-Length that cuts it must not hang until the deadline."""
    body = zlib.compress(MADE)[:length]
    reply = answer(201, body, {"Content-Encoding": "deflate", "Content-Length": str(length)})
    async with Wire(reply) as wire, agentity(wire.url, timeout=20) as client:
        with pytest.raises(DecodeError, match="decoded"):
            await client.api_keys.create("x")


async def test_what_was_cut_short_in_its_packing_is_still_searched():
    """The connection broke behind the secret."""
    body = gzip.compress(LONG)
    reply = answer(201, body[:-12], {"Content-Encoding": "gzip"}, length=len(body))
    with pytest.raises(TransportError, match="cut short") as caught:
        await create(reply)
    assert caught.value.salvaged == Secret(SECRET)


async def test_a_damaged_body_of_a_refusal_leaves_the_refusal():
    """And no nonsense in its sentence."""
    reply = answer(400, b"\x1f\x8b nonsense", {"Content-Encoding": "gzip"})
    with pytest.raises(BadRequestError) as caught:
        await create(reply)
    assert caught.value.message is None


async def test_a_damaged_body_of_a_deletion_does_not_matter():
    """Nothing of it was wanted."""
    reply = answer(200, b"nonsense", {"Content-Encoding": "gzip"})
    async with Wire(reply) as wire, agentity(wire.url) as client:
        await client.api_keys.delete(1)
