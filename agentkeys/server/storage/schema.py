"""The tables. They hold secrets as hashes only, and times as ISO 8601 text in UTC."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

VERSION: Final = 2
"""Increases with every change; a database with a higher version is refused."""

APPLICATION_ID: Final = 0x61_67_4B_79
"""Marks a SQLite file as a database of agentkeys: "agKy"."""

metadata: Final = MetaData()

settings: Final = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False),
    # The email in lower case: one mailbox, one account.
    Column("email_key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    # When the last of its tokens, access or refresh, expires.
    Column("expires_at", Float, nullable=False, index=True),
)

refresh_tokens: Final = Table(
    "refresh_tokens",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("session_id", Text, ForeignKey("sessions.id"), nullable=False, index=True),
    Column("expires_at", Float, nullable=False, index=True),
    # Kept until it expires: if it is used again, its session ends.
    Column("is_used", Boolean, nullable=False),
)

agentity_keys: Final = Table(
    "agentity_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("nickname", Text, nullable=False),
    Column("prefix", Text, nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    UniqueConstraint("account_id", "nickname"),
    # The id of a deleted key must never be reused: a client may still delete it.
    sqlite_autoincrement=True,
)

pods: Final = Table("pods", metadata, Column("id", Text, primary_key=True))

inboxes: Final = Table(
    "inboxes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pod_id", Text, ForeignKey("pods.id")),
)

agentry_keys: Final = Table(
    "agentry_keys",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("key_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False),
    Column("pod_id", Text, ForeignKey("pods.id")),
    Column("inbox_id", Text, ForeignKey("inboxes.id")),
    Column("permissions", Text),
    Column("created_at", Text, nullable=False),
    Column("used_at", Text),
    sqlite_autoincrement=True,
)

Index("agentry_keys_of_tenant", agentry_keys.c.created_at, agentry_keys.c.sequence)
Index(
    "agentry_keys_of_pod",
    agentry_keys.c.pod_id,
    agentry_keys.c.created_at,
    agentry_keys.c.sequence,
)
Index(
    "agentry_keys_of_inbox",
    agentry_keys.c.inbox_id,
    agentry_keys.c.created_at,
    agentry_keys.c.sequence,
)
