"""What the service derives from the one secret in its database, so that every start shows it."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from agentkeys.server.key_format import AGENTRY_PREFIX, base62, key_of


def new_master_secret() -> bytes:
    """Return a new random secret of 256 bits."""
    return secrets.token_bytes(32)


def signing_key(master: bytes) -> bytes:
    """Return the key that signs access tokens."""
    return _derive(master, "access tokens")


def cursor_key(master: bytes) -> bytes:
    """Return the key that signs page tokens."""
    return _derive(master, "page tokens")


def bootstrap_password(master: bytes) -> str:
    """Return the password of the account that every new database starts with."""
    return base62(int.from_bytes(_derive(master, "bootstrap password")), 32)


def tenant_token(master: bytes) -> str:
    """Return the Agentry token of the tenant that every new database starts with."""
    return key_of(AGENTRY_PREFIX, int.from_bytes(_derive(master, "tenant token")))


def _derive(master: bytes, purpose: str) -> bytes:
    return hmac.digest(master, purpose.encode(), hashlib.sha256)
