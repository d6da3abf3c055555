"""Law 13: bodies are bounded, whatever Content-Length says."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING

import pytest
from samples import NEW_KEY, SECRET, agentity, agentry
from wire import Wire, answer, raw

from agentkeys import APIError, DecodeError, Secret, ServerError, TransportError
from agentkeys.transport.reading.answer import MAX_ANSWER, MAX_ERROR

if TYPE_CHECKING:
    import asyncio

MIB = 1024 * 1024


def endless(status: int):
    """Send a body that never ends, in chunks, and count what was taken."""

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} Oh\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        while not writer.is_closing():
            reply.sent += 0x10000
            writer.write(chunk)
            await writer.drain()

    reply.is_reply = True
    reply.sent = 0
    return reply


def test_bodies_are_bounded_as_documented():
    """10 MiB for an answer, 64 KiB of an error."""
    assert (MAX_ANSWER, MAX_ERROR) == (10 * MIB, 64 * 1024)


@pytest.mark.asyncio
async def test_an_endless_answer_is_cut_off():
    """A success without end is a DecodeError, and the connection is closed."""
    body = endless(200)
    async with Wire(body) as wire, agentry(wire.url) as client:
        with pytest.raises(DecodeError, match="bytes") as caught:
            await client.api_keys.create("ci")
        await wire.disconnected.wait()
    assert caught.value.applied == "yes"
    assert len(wire.requests) == 1
    assert body.sent < 20 * MIB


@pytest.mark.asyncio
async def test_an_endless_error_is_read_as_far_as_it_matters():
    """The status says it all; 64 KiB of the rest is enough."""
    body = endless(400)
    async with Wire(body) as wire, agentry(wire.url) as client:
        with pytest.raises(APIError) as caught:
            await client.api_keys.create("ci")
        await wire.disconnected.wait()
    assert caught.value.status == 400
    assert body.sent < 10 * MIB


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.asyncio
async def test_a_compressed_bomb_is_cut_off(encoding):
    """The bound is on what comes out of the decompression."""
    zeros = b" " * (50 * MIB)
    packed = gzip.compress(zeros) if encoding == "gzip" else zlib.compress(zeros)
    async with Wire(answer(200, packed, {"Content-Encoding": encoding})) as wire:
        async with agentity(wire.url) as client:
            with pytest.raises((DecodeError, TransportError)) as caught:
                await client.api_keys.create("x")
    assert caught.value.applied in {"yes", "maybe"}


@pytest.mark.asyncio
async def test_a_compressed_answer_is_read():
    """And an honest one is simply read."""
    packed = gzip.compress(json.dumps(NEW_KEY).encode())
    async with Wire(answer(201, packed, {"Content-Encoding": "gzip"})) as wire:
        async with agentity(wire.url) as client:
            assert (await client.api_keys.create("x")).id == 42


@pytest.mark.asyncio
async def test_a_bad_encoding_is_reported():
    """What says gzip and is none cannot be used."""
    async with Wire(answer(201, b"not gzip", {"Content-Encoding": "gzip"})) as wire:
        async with agentity(wire.url) as client:
            with pytest.raises((DecodeError, TransportError)) as caught:
                await client.api_keys.create("x")
    assert caught.value.applied in {"yes", "maybe"}
    assert len(wire.requests) == 1


@pytest.mark.asyncio
async def test_an_answer_of_nearly_the_bound_is_read():
    """Padding up to 10 MiB is fine."""
    body = b'{"apiKeys": []' + b" " * (MAX_ANSWER - 15) + b"}"
    async with Wire(answer(200, body)) as wire, agentity(wire.url) as client:
        assert await client.api_keys.list().collect() == []
    async with Wire(answer(200, body + b" ")) as wire, agentity(wire.url) as client:
        with pytest.raises(DecodeError):
            await client.api_keys.list().collect()


@pytest.mark.asyncio
async def test_an_answer_that_is_cut_short_is_a_transport_error():
    """Less than Content-Length promised is no whole answer; but the secret that came is kept."""
    async with Wire(answer(201, NEW_KEY, length=5000)) as wire, agentity(wire.url) as client:
        with pytest.raises(TransportError, match="cut short") as caught:
            await client.api_keys.create("x")
    assert caught.value.applied == "maybe"
    assert caught.value.salvaged == Secret(SECRET)


@pytest.mark.asyncio
async def test_an_error_that_is_cut_short_is_still_that_error():
    """Its status came; what came of its body is not needed."""
    async with Wire(answer(409, {"message": "taken"}, length=5000)) as wire:
        async with agentity(wire.url) as client:
            with pytest.raises(APIError) as caught:
                await client.api_keys.create("x")
    assert (caught.value.status, caught.value.applied) == (409, "no")


@pytest.mark.asyncio
async def test_a_header_without_end_is_refused():
    """Headers are bounded too."""
    head = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * MIB + b"\r\n\r\n"
    async with Wire(raw(head)) as wire, agentity(wire.url) as client:
        with pytest.raises(TransportError) as caught:
            await client.api_keys.create("x")
    assert caught.value.applied == "maybe"


@pytest.mark.asyncio
async def test_a_server_error_without_a_body_is_an_error():
    """Nothing at all is read as nothing."""
    async with Wire(answer(500)) as wire, agentity(wire.url) as client:
        with pytest.raises(ServerError) as caught:
            await client.api_keys.create("x")
    assert caught.value.message is None
