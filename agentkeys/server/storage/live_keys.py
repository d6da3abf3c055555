"""Test helper: whether a secret belongs to a live key, which no documented call reports."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, select

from agentkeys.server.storage.key_format import (
    AGENTITY_PREFIX,
    AGENTRY_PREFIX,
    digest_of,
    has_valid_checksum,
    shown_part,
)
from agentkeys.server.storage.schema import agentity_keys, agentry_keys

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from agentkeys.secret import Secret

_CANDIDATES: Final = tuple(
    (prefix, select(table.c.digest).where(table.c.prefix == bindparam("prefix")))
    for prefix, table in ((AGENTITY_PREFIX, agentity_keys), (AGENTRY_PREFIX, agentry_keys))
)


def is_live(connection: Connection, secret: Secret) -> bool:
    """Return whether there is a key with this secret; found by the part that may be shown."""
    if not has_valid_checksum(secret.reveal()):
        return False
    digest = digest_of(secret)
    return any(
        hmac.compare_digest(digest, row.digest)
        for prefix, candidates in _CANDIDATES
        for row in connection.execute(candidates, {"prefix": shown_part(secret, prefix)})
    )
