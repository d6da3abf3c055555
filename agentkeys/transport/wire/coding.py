"""Decode the Content-Encoding of an answer, with a limit.

aiohttp's decoder is not used: it does not support x-gzip, reports undecodable bodies as cut short,
drops what it decoded before an error, and waits for ever on a deflated body that a short
Content-Length cuts.
"""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["ACCEPTED", "decoded"]

ACCEPTED: Final = "gzip"
"""The value of our Accept-Encoding."""

# RFC 9110, 8.4.1. zlib distinguishes the two formats by their first bytes.
_ZLIB: Final = frozenset({"gzip", "x-gzip", "deflate"})
_EITHER_FORMAT: Final = 32 + zlib.MAX_WBITS
_PIECES: Final = 1 << 16


def decoded(body: bytes, encoding: str, limit: int) -> tuple[bytes, bool]:
    """Return up to *limit* + 1 decoded bytes, and whether they are complete and undamaged.

    If the body is damaged or cut, the part that could be decoded is returned: it may hold a secret.
    """
    whole = True
    for coding in reversed([each.strip().lower() for each in encoding.split(",")]):
        if coding in {"", "identity"}:
            continue
        if coding not in _ZLIB:
            return b"", False
        body, undamaged = _inflated(body, limit, _wbits(coding, body))
        whole = whole and undamaged
    return body, whole


def _wbits(coding: str, body: bytes) -> int:
    # Some servers send deflate without the zlib format around it that RFC 9110, 8.4.1.2, requires.
    is_bare = coding == "deflate" and body[:1] and body[0] & 0x0F != zlib.DEFLATED
    return -zlib.MAX_WBITS if is_bare else _EITHER_FORMAT


def _inflated(body: bytes, limit: int, wbits: int) -> tuple[bytes, bool]:
    found, undamaged = _in_pieces(body, limit, wbits, len(body) or 1)
    if undamaged:
        return found, True
    # A call of zlib that meets damage returns nothing: smaller pieces return more.
    return _in_pieces(body, limit, wbits, len(body) // _PIECES + 1)


def _in_pieces(body: bytes, limit: int, wbits: int, size: int) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    room = limit + 1
    inflater, is_within = zlib.decompressobj(wbits), False
    for start in range(0, len(body), size):
        rest = body[start : start + size]
        while rest and room:
            try:
                parts.append(inflater.decompress(rest, room))
            except zlib.error:
                # Bytes after the end of a member that begin no other member are ignored, as in
                # gzip(1).
                return b"".join(parts), bool(parts) and not is_within
            room -= len(parts[-1])
            rest, is_within = inflater.unconsumed_tail, not inflater.eof
            if inflater.eof:  # a gzip body may have several members (RFC 1952, 2.2)
                rest, inflater = inflater.unused_data, zlib.decompressobj(wbits)
    return b"".join(parts), not is_within or not room
