"""Agentry's routes: five collections of keys on two surfaces (Agentry's documentation)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Final

from aiohttp import web

from agentkeys.server.agentry import rows
from agentkeys.server.agentry.cursors import START, Cursors, Position
from agentkeys.server.agentry.scopes import KeyScope, ScopeKind, find_scope
from agentkeys.server.ground.clock import Clock, iso
from agentkeys.server.ground.plain import is_storable
from agentkeys.server.http.answers import json_response
from agentkeys.server.http.authorization import bearer_token, refused_token
from agentkeys.server.http.fields import (
    body_of,
    json_object,
    path_segment,
    segment_pattern,
    text_field,
    whole_number,
)
from agentkeys.server.http.refusals import Refusal, invalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from aiohttp.typedefs import Handler
    from sqlalchemy import Connection

    from agentkeys.secret import Secret
    from agentkeys.server.storage.database import Database
    from agentkeys.server.storage.used_times import UsedTimes

_REALM: Final = "agentry"
_DEFAULT_LIMIT: Final = 50
_MAX_LIMIT: Final = 100
_SCOPE_SEGMENT: Final = 4


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection of keys on one surface.

    Attributes:
        path: its path; `kind` says what the id in it, if any, identifies.
        created: the status of a create; the documentation has 201 and 200.
        deleted: the status of a delete; the documentation has 204, and 200 without a body.
        takes_permissions: whether a create may have permissions.
        takes_inbox_id: whether a list may be limited to one inbox.
    """

    path: str
    kind: ScopeKind
    created: int
    deleted: int
    takes_permissions: bool = False
    takes_inbox_id: bool = False

    @property
    def key_segment(self) -> int:
        """The segment of a key's path that is the key's id."""
        return self.path.count("/") + 1


_INBOX: Final = "/inboxes/{inbox_id}/api-keys"
_POD: Final = "/pods/{pod_id}/api-keys"
COLLECTIONS: Final = (
    Collection(f"/human/v0{_INBOX}", "inbox", 201, 204),
    Collection("/human/v0/api-keys", "tenant", 201, 204, takes_inbox_id=True),
    Collection(f"/agent/v0{_INBOX}", "inbox", 200, 200, takes_permissions=True),
    Collection("/agent/v0/api-keys", "tenant", 200, 200, takes_permissions=True),
    Collection(f"/agent/v0{_POD}", "pod", 200, 200, takes_permissions=True),
)


class Agentry:
    """Agentry's endpoints on a database.

    Args:
        database: the inboxes and keys.
        used: when each key was last used.
        cursors: makes and reads page tokens.
        tenant_digest: the digest of the token that the tenant starts with. This token is not a key
            of a collection: it is never listed, and cannot be deleted.
        clock: returns the time.
    """

    def __init__(
        self,
        database: Database,
        used: UsedTimes,
        cursors: Cursors,
        tenant_digest: bytes,
        clock: Clock,
    ) -> None:
        self._database = database
        self._used = used
        self._cursors = cursors
        self._tenant_digest = tenant_digest
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return every route of the service."""
        return [route for collection in COLLECTIONS for route in self._routes_of(collection)]

    def _routes_of(self, collection: Collection) -> list[web.RouteDef]:
        path = segment_pattern(collection.path)
        key_path = segment_pattern(collection.path + "/{api_key_id}")
        return [
            web.get(path, _of(collection, self.list_keys), allow_head=False),
            web.post(path, _of(collection, self.create_key)),
            web.delete(key_path, _of(collection, self.delete_key)),
        ]

    async def list_keys(self, collection: Collection, request: web.Request) -> web.Response:
        """List a page of keys, newest first."""
        token = bearer_token(request, _REALM)
        page = await self._database.read(self._listed, collection, request, token)
        return json_response(page)

    async def create_key(self, collection: Collection, request: web.Request) -> web.Response:
        """Create a key."""
        token = bearer_token(request, _REALM)
        raw = body_of(request)
        key = await self._database.write(self._created, collection, request, token, raw)
        return json_response(key, collection.created)

    async def delete_key(self, collection: Collection, request: web.Request) -> web.Response:
        """Delete a key; the answer has an empty body on both surfaces."""
        token = bearer_token(request, _REALM)
        await self._database.write(self._deleted, collection, request, token)
        return web.Response(status=collection.deleted)

    # The three methods below run in the database's thread. They check the caller before they read
    # the request, so that an unauthorized caller is refused first.

    def _listed(
        self, connection: Connection, collection: Collection, request: web.Request, token: Secret
    ) -> dict[str, object]:
        scope = self._scope(connection, collection, request, token)
        if collection.takes_inbox_id and "inbox_id" in request.query:
            scope = find_scope(connection, "inbox", _inbox_filter(request), scope)
        limit = _limit(request)
        after = self._after(request, scope)
        page = rows.list_page(connection, scope, after, limit, self._used)
        body: dict[str, object] = {"api_keys": page.keys, "count": len(page.keys)}
        if page.end is not None:
            body["next_page_token"] = self._cursors.page_token(scope.collection, page.end)
        return body

    def _created(
        self,
        connection: Connection,
        collection: Collection,
        request: web.Request,
        token: Secret,
        raw: Secret,
    ) -> dict[str, object]:
        scope = self._scope(connection, collection, request, token)
        body = json_object(raw)
        name = text_field(body, "name")
        permissions = _permissions(body) if collection.takes_permissions else None
        return rows.add_key(connection, scope, name, permissions, iso(self._clock()))

    def _deleted(
        self, connection: Connection, collection: Collection, request: web.Request, token: Secret
    ) -> None:
        scope = self._scope(connection, collection, request, token)
        key_id = path_segment(request, collection.key_segment)
        if key_id is None:
            raise Refusal(404, "There is no API key with this id.")
        rows.delete_key(connection, scope, key_id)

    def _scope(
        self, connection: Connection, collection: Collection, request: web.Request, token: Secret
    ) -> KeyScope:
        caller = rows.find_caller(
            connection, self._tenant_digest, self._used, token, iso(self._clock())
        )
        if caller is None:
            raise refused_token(_REALM)
        scope_id = None if collection.kind == "tenant" else path_segment(request, _SCOPE_SEGMENT)
        return find_scope(connection, collection.kind, scope_id, caller)

    def _after(self, request: web.Request, scope: KeyScope) -> Position:
        if "page_token" not in request.query:
            return START
        position = self._cursors.position(scope.collection, _single(request, "page_token"))
        if position is None:
            message = "page_token was not returned by this service for this listing."
            raise invalid(message, "page_token")
        return position


def _of(
    collection: Collection, handle: Callable[[Collection, web.Request], Awaitable[web.Response]]
) -> Handler:
    # With the name of the method: without it, a RouteDef has no repr, and so a traceback no locals.
    return update_wrapper(partial(handle, collection), handle)


def _limit(request: web.Request) -> int:
    if "limit" not in request.query:
        return _DEFAULT_LIMIT
    limit = whole_number(_single(request, "limit"), _MAX_LIMIT)
    if limit is None:
        raise invalid(f"limit must be a whole number from 1 to {_MAX_LIMIT}.", "limit")
    return limit


def _inbox_filter(request: web.Request) -> str | None:
    inbox_id = _single(request, "inbox_id")
    return inbox_id if is_storable(inbox_id) else None


def _single(request: web.Request, name: str) -> str:
    # The query stays in the request: it may hold a key by mistake, and a frame would show it.
    if len(request.query.getall(name)) != 1:
        raise invalid(f"{name} was given more than once.", name, code="duplicate")
    return request.query[name]


def _permissions(body: Mapping[str, object]) -> dict[str, bool] | None:
    permissions = body.get("permissions")
    if permissions is None:
        return None
    # The documentation names only some flags, so any name is accepted.
    if not isinstance(permissions, dict):
        raise invalid("permissions must be an object.", "permissions", code="invalid_type")
    for flag, value in permissions.items():
        if not isinstance(value, bool) or not is_storable(flag):
            raise invalid("each permission must be true or false.", "permissions")
    return permissions
