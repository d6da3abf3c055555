"""Agentry's scopes: the tenant, a pod, an inbox; and what a key of each can reach.

The rights of an inbox's or a pod's key are not documented. Here a key reaches its own scope and
what is in it; everything else does not exist for the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from sqlalchemy import bindparam, insert, select

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.storage.schema import inboxes, pods

if TYPE_CHECKING:
    from sqlalchemy import Connection

_POD: Final = select(pods.c.id).where(pods.c.id == bindparam("id"))
_INBOX: Final = select(inboxes.c.id, inboxes.c.pod_id).where(inboxes.c.id == bindparam("id"))
_ADD_POD: Final = insert(pods)
_ADD_INBOX: Final = insert(inboxes)

ScopeKind: TypeAlias = Literal["tenant", "pod", "inbox"]


@dataclass(frozen=True, slots=True)
class KeyScope:
    """The tenant if both are None, else a pod, or an inbox, which may be in a pod."""

    pod_id: str | None = None
    inbox_id: str | None = None

    @property
    def kind(self) -> ScopeKind:
        """The kind of the scope."""
        if self.inbox_id is not None:
            return "inbox"
        return "tenant" if self.pod_id is None else "pod"

    @property
    def id(self) -> str | None:
        """Its id; None for the tenant."""
        return self.pod_id if self.inbox_id is None else self.inbox_id

    @property
    def collection(self) -> str:
        """A text that identifies the scope."""
        return f"{self.kind} {self.id or ''}"

    def reaches(self, other: KeyScope) -> bool:
        """Return whether a key of this scope may see and change the keys of *other*."""
        return self in {TENANT, other} or (self.kind == "pod" and self.pod_id == other.pod_id)


TENANT: Final = KeyScope()


def find_scope(
    connection: Connection, kind: ScopeKind, scope_id: str | None, caller: KeyScope
) -> KeyScope:
    """Return the scope of *kind* with this id, if *caller* may see it.

    Raises:
        Refusal: 404, if it does not exist, or the caller cannot reach it.
    """
    # The most common case needs no query: a key's own scope exists as long as the key.
    if (caller.kind, caller.id) == (kind, scope_id):
        return caller
    scope = _existing(connection, kind, scope_id)
    if scope is None or not caller.reaches(scope):
        raise Refusal(404, f"There is no such {kind}.")
    return scope


def add_pod(connection: Connection, pod_id: str) -> None:
    """Add a pod, unless it exists."""
    if connection.execute(_POD, {"id": pod_id}).first() is None:
        connection.execute(_ADD_POD, {"id": pod_id})


def add_inbox(connection: Connection, inbox_id: str, pod_id: str | None) -> None:
    """Add an inbox, unless it exists.

    Raises:
        InvalidArgumentError: it exists in another pod, or the pod does not exist.
    """
    if pod_id is not None and connection.execute(_POD, {"id": pod_id}).first() is None:
        raise InvalidArgumentError("there is no pod with this id: create one with add_pod()")
    existing = connection.execute(_INBOX, {"id": inbox_id}).first()
    if existing is None:
        connection.execute(_ADD_INBOX, {"id": inbox_id, "pod_id": pod_id})
    elif existing.pod_id != pod_id:
        raise InvalidArgumentError("the inbox already exists, in another pod or in none")


def _existing(connection: Connection, kind: ScopeKind, scope_id: str | None) -> KeyScope | None:
    if kind == "tenant":
        return TENANT
    row = connection.execute(_POD if kind == "pod" else _INBOX, {"id": scope_id}).first()
    if row is None:
        return None
    return KeyScope(pod_id=row.id) if kind == "pod" else KeyScope(row.pod_id, row.id)
