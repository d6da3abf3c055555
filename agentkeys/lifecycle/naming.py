"""Names that prove whose attempt a key comes from."""

from __future__ import annotations

import re
import secrets
from typing import Final

__all__ = ["is_proof", "new_nonce", "with_nonce"]

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"  # base32 (RFC 4648, section 6), in lower case
_LENGTH: Final = 6
_NONCE: Final = re.compile(f"[{_ALPHABET}]{{{_LENGTH}}}")


def new_nonce() -> str:
    """Return 30 random bits, as 6 characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def with_nonce(name: str, nonce: str) -> str:
    """Return the name of a key that only the attempt with this nonce can have made."""
    return f"{name}~{nonce}"


def is_proof(name: str, nonce: str) -> bool:
    """Whether *nonce* is one, and *name* that of a key which only its attempt can have made."""
    ending = with_nonce("", nonce)
    return _NONCE.fullmatch(nonce) is not None and name.endswith(ending) and len(name) > len(ending)
