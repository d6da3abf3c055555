"""Agentity's sessions: a login begins a session, and all tokens from this login belong to it.

A refresh token is valid once. If it is used a second time, two clients have it, and one of them
stole it: the session ends, and with it every token of the login (RFC 9700, 4.14.2).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from agentkeys.server.storage.schema import refresh_tokens, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BEGIN: Final = insert(sessions)
_EXTEND: Final = (
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"))
    .values(expires_at=func.max(sessions.c.expires_at, bindparam("until")))
)
_END: Final = delete(sessions).where(sessions.c.id == bindparam("session_id"))
_IS_THERE: Final = select(sessions.c.account_id).where(sessions.c.id == bindparam("session_id"))
_ADD_TOKEN: Final = insert(refresh_tokens)
_TOKEN: Final = (
    select(
        refresh_tokens.c.session_id,
        refresh_tokens.c.expires_at,
        refresh_tokens.c.is_used,
        sessions.c.account_id,
    )
    .join(sessions)
    .where(refresh_tokens.c.digest == bindparam("used"))
)
_USE_TOKEN: Final = (
    update(refresh_tokens).where(refresh_tokens.c.digest == bindparam("used")).values(is_used=True)
)
_FORGET_TOKENS: Final = delete(refresh_tokens).where(
    refresh_tokens.c.session_id == bindparam("session_id")
)
_FORGET_EXPIRED: Final = [
    delete(table).where(table.c.expires_at <= bindparam("now"))
    for table in (refresh_tokens, sessions)
]


@dataclass(frozen=True, slots=True)
class Session:
    """A session, and its account."""

    id: str
    account_id: str


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token as it is stored.

    Attributes:
        digest: its hash.
        expires_at: in seconds since 1970.
        session_until: when the last token of the session expires, if this is its last refresh
            token.
    """

    digest: bytes
    expires_at: float
    session_until: float


def begin_session(
    connection: Connection, account_id: str, token: RefreshToken, now: float
) -> Session:
    """Begin a session of the account with its first refresh token; remove expired sessions."""
    for statement in _FORGET_EXPIRED:
        connection.execute(statement, {"now": now})
    session = Session(uuid.uuid4().hex, account_id)
    row = {"id": session.id, "account_id": account_id, "expires_at": token.session_until}
    connection.execute(_BEGIN, row)
    _add_token(connection, session.id, token)
    return session


def renew_session(
    connection: Connection, used: bytes, token: RefreshToken, now: float
) -> Session | None:
    """Replace the refresh token with the digest *used*, and return its session.

    Return None if there is no such token, it has expired, or it was used before, which ends its
    session.
    """
    row = connection.execute(_TOKEN, {"used": used}).one_or_none()
    if row is None or row.expires_at <= now:
        return None
    session = Session(row.session_id, row.account_id)
    if row.is_used:
        connection.execute(_FORGET_TOKENS, {"session_id": session.id})
        connection.execute(_END, {"session_id": session.id})
        return None
    connection.execute(_USE_TOKEN, {"used": used})
    connection.execute(_EXTEND, {"session_id": session.id, "until": token.session_until})
    _add_token(connection, session.id, token)
    return session


def is_open(connection: Connection, session: Session) -> bool:
    """Return whether a token's session is still open."""
    owner = connection.execute(_IS_THERE, {"session_id": session.id}).scalar_one_or_none()
    return bool(owner == session.account_id)


def _add_token(connection: Connection, session_id: str, token: RefreshToken) -> None:
    row = {
        "digest": token.digest,
        "session_id": session_id,
        "expires_at": token.expires_at,
        "is_used": False,
    }
    connection.execute(_ADD_TOKEN, row)
