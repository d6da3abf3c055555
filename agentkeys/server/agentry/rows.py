"""Agentry's keys. Each function of a connection is the work of one transaction."""

from __future__ import annotations

import hmac
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, delete, insert, select, tuple_

from agentkeys.server.agentry.cursors import Position
from agentkeys.server.agentry.scopes import TENANT, KeyScope, ScopeKind
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.storage.key_format import (
    AGENTRY_PREFIX,
    digest_of,
    has_valid_checksum,
    new_key,
    shown_part,
)
from agentkeys.server.storage.schema import agentry_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Executable

    from agentkeys.secret import Secret
    from agentkeys.server.storage.used_times import UsedTimes

_KEYS: Final = agentry_keys.c
_CANDIDATES: Final = select(_KEYS.sequence, _KEYS.digest, _KEYS.pod_id, _KEYS.inbox_id).where(
    _KEYS.prefix == bindparam("prefix")
)
_ADD: Final = insert(agentry_keys)
_MEMBERS: Final[Mapping[ScopeKind, tuple[ColumnElement[bool], ...]]] = {
    "tenant": (),
    "pod": (_KEYS.pod_id == bindparam("pod_id"),),
    "inbox": (_KEYS.inbox_id == bindparam("inbox_id"),),
}
_DELETE: Final[Mapping[ScopeKind, Executable]] = {
    kind: delete(agentry_keys).where(_KEYS.key_id == bindparam("key_id"), *members)
    for kind, members in _MEMBERS.items()
}
_PAGE: Final[Mapping[ScopeKind, Executable]] = {
    kind: select(
        _KEYS.sequence,
        _KEYS.used_at,
        _KEYS.key_id,
        _KEYS.name,
        _KEYS.prefix,
        _KEYS.created_at,
        _KEYS.pod_id,
        _KEYS.inbox_id,
        _KEYS.permissions,
    )
    .where(
        tuple_(_KEYS.created_at, _KEYS.sequence)
        < tuple_(bindparam("created_at"), bindparam("sequence")),
        *members,
    )
    .order_by(_KEYS.created_at.desc(), _KEYS.sequence.desc())
    .limit(bindparam("limit"))
    for kind, members in _MEMBERS.items()
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of keys as Agentry shows them, and the position of the next page, if there is one."""

    keys: list[dict[str, object]]
    end: Position | None


def find_caller(
    connection: Connection, tenant_digest: bytes, used: UsedTimes, token: Secret, now: str
) -> KeyScope | None:
    """Return the scope of the key with the secret *token*, or None; record its use.

    Keys are found by the part that may be shown, so that no index compares the secret part.
    """
    digest = digest_of(token)
    if hmac.compare_digest(digest, tenant_digest):
        return TENANT
    if not has_valid_checksum(token.reveal()):
        return None
    prefix = shown_part(token, AGENTRY_PREFIX)
    for row in connection.execute(_CANDIDATES, {"prefix": prefix}):
        if hmac.compare_digest(digest, row.digest):
            used.note(row.sequence, now)
            return KeyScope(row.pod_id, row.inbox_id)
    return None


def add_key(
    connection: Connection,
    scope: KeyScope,
    name: str,
    permissions: Mapping[str, bool] | None,
    now: str,
    *,
    used_at: str | None = None,
) -> dict[str, object]:
    """Add a key to the scope and return Agentry's only answer with its secret."""
    key = new_key(AGENTRY_PREFIX)
    # In the order of the columns that a page selects.
    row = {
        "key_id": str(uuid.uuid4()),
        "name": name,
        "prefix": shown_part(key, AGENTRY_PREFIX),
        "created_at": now,
        "pod_id": scope.pod_id,
        "inbox_id": scope.inbox_id,
        "permissions": None if permissions is None else json.dumps(permissions),
    }
    connection.execute(_ADD, {**row, "digest": digest_of(key), "used_at": used_at})
    return {"api_key": key, **_shown(tuple(row.values()), used_at)}


def list_page(
    connection: Connection, scope: KeyScope, after: Position, limit: int, used: UsedTimes
) -> Page:
    """Return up to *limit* keys of the scope and of the scopes in it, newest first."""
    parameters = {
        "pod_id": scope.pod_id,
        "inbox_id": scope.inbox_id,
        "created_at": after.created_at,
        "sequence": after.sequence,
        # One more than requested, to know whether there are more.
        "limit": limit + 1,
    }
    rows = connection.execute(_PAGE[scope.kind], parameters).all()
    keys = [_shown(row[2:], used.latest(row[0], row[1])) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(keys, None)
    end = rows[limit - 1]
    return Page(keys, Position(end.created_at, end.sequence))


def delete_key(connection: Connection, scope: KeyScope, key_id: str) -> None:
    """Delete a key of the scope permanently.

    Raises:
        Refusal: 404, if the scope has no such key.
    """
    parameters = {"key_id": key_id, "pod_id": scope.pod_id, "inbox_id": scope.inbox_id}
    if connection.execute(_DELETE[scope.kind], parameters).rowcount == 0:
        raise Refusal(404, "There is no API key with this id.")


def _shown(row: Sequence[Any], used_at: str | None) -> dict[str, object]:
    key_id, name, prefix, created_at, pod_id, inbox_id, permissions = row
    shown: dict[str, object] = {
        "api_key_id": key_id,
        "name": name,
        "prefix": prefix,
        "created_at": created_at,
    }
    # Fields that do not apply are left out: the documentation calls them optional.
    if inbox_id is not None:
        shown["inbox_id"] = inbox_id
    if pod_id is not None:
        shown["pod_id"] = pod_id
    if permissions is not None:
        shown["permissions"] = json.loads(permissions)
    if used_at is not None:
        shown["used_at"] = used_at
    return shown
