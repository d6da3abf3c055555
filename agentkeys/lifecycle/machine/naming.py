"""Names with a nonce, which prove the entry that a key comes from."""

from __future__ import annotations

import re
import secrets
from typing import Final

__all__ = ["base_name", "base_of", "is_made_of", "new_nonce", "with_nonce"]

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"  # base32 (RFC 4648, section 6), in lower case
_LENGTH: Final = 6
_NONCE: Final = re.compile(f"[{_ALPHABET}]{{{_LENGTH}}}")


def new_nonce() -> str:
    """Return 30 random bits, as 6 characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def with_nonce(name: str, nonce: str) -> str:
    """Return a key's name with the nonce; only this entry can have made a key of that name."""
    return f"{name}~{nonce}"


def is_made_of(name: str, base: str) -> bool:
    """Whether *name* is *base* with a nonce, so that a key of that name is ours."""
    return (
        base != ""
        and name.startswith(f"{base}~")
        and _NONCE.fullmatch(name[len(base) + 1 :]) is not None
    )


def base_name(name: str) -> str:
    """Return the name of a key without its nonce, if it has one."""
    base, _, nonce = name.rpartition("~")
    return base if base and _NONCE.fullmatch(nonce) else name


def base_of(name: str, nonce: str) -> str:
    """Return a name without this nonce."""
    return name.removesuffix(with_nonce("", nonce))
