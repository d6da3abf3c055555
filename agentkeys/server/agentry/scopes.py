"""Agentry's scopes: the tenant, a pod, an inbox; and what a key of one may reach.

What an inbox's or a pod's key may do is not documented. Here a key reaches its own scope and what
lies in it, and everything else is to it as if it did not exist.
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
    """The tenant if both are None, else a pod, or an inbox, which may lie in a pod."""

    pod_id: str | None = None
    inbox_id: str | None = None

    @property
    def kind(self) -> ScopeKind:
        """What it is."""
        if self.inbox_id is not None:
            return "inbox"
        return "tenant" if self.pod_id is None else "pod"

    @property
    def id(self) -> str | None:
        """Its id; None for the tenant."""
        return self.pod_id if self.inbox_id is None else self.inbox_id

    @property
    def collection(self) -> str:
        """A text that no other scope has."""
        return f"{self.kind} {self.id or ''}"

    def reaches(self, other: KeyScope) -> bool:
        """Tell whether a key of this scope may see and change the keys of *other*."""
        return self in {TENANT, other} or (self.kind == "pod" and self.pod_id == other.pod_id)


TENANT: Final = KeyScope()


def find_scope(
    connection: Connection, kind: ScopeKind, scope_id: str | None, caller: KeyScope
) -> KeyScope:
    """Return the scope of *kind* with this id, as *caller* may see it.

    Raises:
        Refusal: 404, if there is none, or it is out of the caller's reach.
    """
    # The most common case needs no look: a key's own scope exists as long as the key does.
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
        InvalidArgumentError: it exists in another pod, or there is no such pod.
    """
    if pod_id is not None and connection.execute(_POD, {"id": pod_id}).first() is None:
        raise InvalidArgumentError("there is no pod of this id: add_pod() makes one")
    existing = connection.execute(_INBOX, {"id": inbox_id}).first()
    if existing is None:
        connection.execute(_ADD_INBOX, {"id": inbox_id, "pod_id": pod_id})
    elif existing.pod_id != pod_id:
        raise InvalidArgumentError("the inbox exists already, in another pod or in none")


def _existing(connection: Connection, kind: ScopeKind, scope_id: str | None) -> KeyScope | None:
    if kind == "tenant":
        return TENANT
    row = connection.execute(_POD if kind == "pod" else _INBOX, {"id": scope_id}).first()
    if row is None:
        return None
    return KeyScope(pod_id=row.id) if kind == "pod" else KeyScope(row.pod_id, row.id)
