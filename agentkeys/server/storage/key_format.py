"""The format of an API key: a prefix, 32 random base62 characters, and their checksum.

By the checksum, a secret scanner can recognize a real key without asking the service.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
import zlib
from typing import Final

from agentkeys.masking import declare_key_form
from agentkeys.secret import Secret

AGENTITY_PREFIX: Final = "agk_live_"
AGENTRY_PREFIX: Final = "ag_"

for _prefix in (AGENTITY_PREFIX, AGENTRY_PREFIX):
    declare_key_form(f"({_prefix})[A-Za-z0-9_.-]+")

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY_LENGTH: Final = 32
_CHECKSUM_LENGTH: Final = 6
_SHOWN_LENGTH: Final = 8
_BODIES: Final = len(_ALPHABET) ** _BODY_LENGTH
_KEY: Final = re.compile(r"(?:agk_live_|ag_)([0-9A-Za-z]{32})([0-9A-Za-z]{6})")


def new_key(prefix: str) -> Secret:
    """Return a new random API key (190 bits of it random) that starts with *prefix*."""
    return Secret(key_of(prefix, secrets.randbelow(_BODIES)))


def key_of(prefix: str, number: int) -> str:
    """Return the API key with *prefix* and *number* as its body."""
    body = base62(number % _BODIES, _BODY_LENGTH)
    return prefix + body + _checksum(body)


def has_valid_checksum(key: str) -> bool:
    """Return offline whether *key* has the form of an API key and a valid checksum.

    The last six characters are the CRC32 of the 32 characters before them, in base62 (digits, upper
    case, lower case). It does not show whether the key exists.
    """
    match = _KEY.fullmatch(key)
    return match is not None and match[2] == _checksum(match[1])


def digest_of(secret: Secret) -> bytes:
    """Return the SHA-256 of *secret*, which is stored instead of it.

    A plain hash is enough: 190 random bits cannot be guessed, even at full speed.
    """
    return hashlib.sha256(secret.reveal().encode()).digest()


def shown_part(key: Secret, prefix: str) -> str:
    """Return the part of *key* that may be shown: its *prefix* and eight more characters."""
    return key.reveal()[: len(prefix) + _SHOWN_LENGTH]


def base62(number: int, length: int) -> str:
    """Return *number* in base62 with *length* characters, padded with zeros."""
    characters = []
    for _ in range(length):
        number, index = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[index])
    return "".join(reversed(characters))


def _checksum(body: str) -> str:
    return base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)
