"""Answers of every kind, for hypothesis: what is in them, how it is packed, how it is framed."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Final

import attrs
from hypothesis import strategies as st
from samples import NEW_KEY, SECRET

if TYPE_CHECKING:
    from wire import Reply

PACKINGS: Final = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "x-gzip": lambda body: body,  # which is not what it says
    "deflate": zlib.compress,
    "br": lambda body: body,  # neither is this
    "gzip, gzip": lambda body: gzip.compress(body, mtime=0),
}


@attrs.frozen
class Sent:
    """An answer as it is sent.

    Attributes:
        body: what it says.
        packing: its Content-Encoding; "" for none.
        framing: how its end is told: by a "length", one that is too "long" or too "short", in
            "chunks", in chunks of which the last is "torn", in what are "no chunks", or by the
            "end" of the connection.
        pieces: how many bytes go at once.
        cut: a number that says where, if something is cut.
    """

    status: int
    body: bytes = attrs.field(repr=lambda body: f"{body[:500]!r} of {len(body)}")
    packing: str
    framing: str
    pieces: int
    cut: int

    @property
    def packed(self) -> bytes:
        return PACKINGS[self.packing](self.body)

    @property
    def is_whole(self) -> bool:
        """Whether a client can know and read what is said."""
        plain = self.packing in {"", "identity"}
        return self.framing in {"length", "chunks", "end"} and (
            plain or self.packing in {"gzip", "deflate"}
        )

    @property
    def arrives(self) -> bytes:
        """What of the body can be read for certain, if it is not packed."""
        if self.packing not in {"", "identity"} or self.framing == "no chunks":
            return b""
        return self.body[: self._cut] if self.framing in {"short", "torn"} else self.body

    @property
    def _cut(self) -> int:
        return self.cut % (len(self.packed) + 1)

    def raw(self) -> bytes:
        """Return it with its head."""
        packed = self.packed
        lengths = {
            "length": len(packed),
            "long": len(packed) + self.cut % 5000 + 1,
            "short": self._cut,
        }
        head = f"HTTP/1.1 {self.status} Whatever\r\n"
        if self.packing:
            head += f"Content-Encoding: {self.packing}\r\n"
        if self.framing in lengths:
            head += f"Content-Length: {lengths[self.framing]}\r\n"
        elif self.framing != "end":
            head += "Transfer-Encoding: chunked\r\n"
        if self.framing == "chunks":
            packed = _chunked(packed, self.cut) + b"0\r\n\r\n"
        elif self.framing == "torn":
            packed = _chunked(packed[: self._cut], self.cut) + b"fff\r\n"
        return head.encode() + b"\r\n" + packed

    def reply(self) -> Reply:
        """Send it piece by piece, and close the connection if its end is told so."""

        async def reply(writer: asyncio.StreamWriter) -> None:
            raw = self.raw()
            for start in range(0, len(raw), self.pieces):
                writer.write(raw[start : start + self.pieces])
                await writer.drain()
                await asyncio.sleep(0)
            if self.framing not in {"length", "chunks", "short"}:
                writer.close()

        reply.is_reply = True  # type: ignore[attr-defined]  # as those of `wire` have it
        return reply


def _chunked(data: bytes, cut: int) -> bytes:
    size = cut % 300 + 1
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


_ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _spoiled(document: dict[str, object], field: str, value: object) -> bytes:
    """Return a new key with one of its fields, but not its secret, turned into something else."""
    return json.dumps({**document, field: value}).encode()


GOOD: Final = json.dumps(NEW_KEY).encode()
BODIES: Final = st.one_of(
    st.just(GOOD),
    st.builds(
        _spoiled,
        st.just(NEW_KEY),
        st.sampled_from(["id", "nickname", "createdAt", "updatedAt", "more"]),
        _ANYTHING,
    ),
    _ANYTHING.map(lambda value: json.dumps(value).encode()),
    st.builds(lambda n: GOOD[:-1] + b" " * n + b"}", st.integers(0, 200_000)),
    st.builds(lambda n: GOOD[:n], st.integers(0, len(GOOD))),
    st.just(b'<p>the new key is "%s"</p>' % SECRET.encode()),
    st.binary(max_size=500),
)
SENT: Final = st.builds(
    Sent,
    status=st.sampled_from([200, 201, 299, 302, 400, 401, 404, 409, 418, 422, 429, 500, 503, 599]),
    body=BODIES,
    packing=st.sampled_from(["", "", "", *PACKINGS]),
    framing=st.sampled_from(["length", "long", "short", "chunks", "torn", "no chunks", "end"]),
    pieces=st.sampled_from([1 << 20, 100_000, 1000, 170, 97]),
    cut=st.integers(0, 1 << 20),
)
