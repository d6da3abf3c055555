"""Values that are derived from the database's secret, and so are the same at every start."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from agentkeys.secret import Secret
from agentkeys.server.ground.sealed import opened, sealed
from agentkeys.server.storage.key_format import AGENTRY_PREFIX, base62, key_of


def new_master_secret() -> Secret:
    """Return a new random secret of 256 bits."""
    return sealed(secrets.token_bytes(32))


def signing_key(master: Secret) -> Secret:
    """Return the key that signs access tokens."""
    return _derive(master, "access tokens")


def cursor_key(master: Secret) -> Secret:
    """Return the key that signs page tokens."""
    return _derive(master, "page tokens")


def bootstrap_password(master: Secret) -> Secret:
    """Return the password of the account that every new database starts with."""
    return Secret(base62(_number(_derive(master, "bootstrap password")), 32))


def tenant_token(master: Secret) -> Secret:
    """Return the Agentry token of the tenant that every new database starts with."""
    return Secret(key_of(AGENTRY_PREFIX, _number(_derive(master, "tenant token"))))


def _derive(master: Secret, purpose: str) -> Secret:
    return sealed(hmac.digest(opened(master), purpose.encode(), hashlib.sha256))


def _number(derived: Secret) -> int:
    return int.from_bytes(opened(derived))
