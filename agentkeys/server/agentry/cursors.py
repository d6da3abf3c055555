"""Page tokens: the position where a page ended, signed, for one collection only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentkeys.server.ground.sealed import opened

if TYPE_CHECKING:
    from agentkeys.secret import Secret

_SIGNATURE_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a listing: after the key created at *created_at* with the number *sequence*."""

    created_at: str
    sequence: int


START: Final = Position("9999", 0)
"""The position before the newest key."""


class Cursors:
    """Converts positions to page tokens and back.

    Args:
        key: the key to sign them with.
    """

    def __init__(self, key: Secret) -> None:
        self._key = key

    def page_token(self, collection: str, position: Position) -> str:
        """Return the page token for *position* in *collection*."""
        place = f"{position.sequence} {position.created_at}".encode()
        return _encode(self._sign(collection, place) + place)

    def position(self, collection: str, page_token: str) -> Position | None:
        """Return the position, or None if *page_token* was not made here for *collection*."""
        raw = _decode(page_token)
        signature, place = raw[:_SIGNATURE_LENGTH], raw[_SIGNATURE_LENGTH:]
        if not hmac.compare_digest(signature, self._sign(collection, place)):
            return None
        sequence, _, created_at = place.decode().partition(" ")
        return Position(created_at, int(sequence))

    def _sign(self, collection: str, place: bytes) -> bytes:
        # The length prefix makes the pair of collection and place unambiguous.
        message = f"{len(place)} ".encode() + place + collection.encode()
        return hmac.digest(opened(self._key), message, hashlib.sha256)[:_SIGNATURE_LENGTH]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(page_token: str) -> bytes:
    try:
        raw = base64.urlsafe_b64decode(page_token + "=" * (-len(page_token) % 4))
    except (binascii.Error, ValueError):
        return b""
    # Lenient decoding skips foreign characters and stray bits: only the exact token is valid.
    return raw if _encode(raw) == page_token else b""
