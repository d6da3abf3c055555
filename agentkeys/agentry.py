"""Agentry: its records, its endpoints, its client.

Agentry gives agents email inboxes. A key belongs to a scope: the whole tenant, a pod (a group of
inboxes), or one inbox. There are two surfaces, one for people and one for agents. Source: Agentry's
documentation, the pages API Keys of both surfaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import attrs

from agentkeys import arguments
from agentkeys.credentials import BearerToken, Credentials, StoredToken
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.forks import Unpicklable
from agentkeys.keys import Record, listed
from agentkeys.paging import Page, Pager
from agentkeys.records import id_of_request
from agentkeys.secret import Secret
from agentkeys.sources import from_environment
from agentkeys.transport.call.endpoint import Endpoint
from agentkeys.transport.client import Client
from agentkeys.transport.collection import Keys, Place
from agentkeys.transport.reading.convert import Reader, as_spelt
from agentkeys.transport.session import Session
from agentkeys.transport.settings import Service

__all__ = [
    "AgentApiKeys",
    "AgentScope",
    "AgentSurface",
    "AgentryClient",
    "ApiKey",
    "ApiKeys",
    "Inbox",
    "NewApiKey",
    "TenantApiKeys",
]


@attrs.frozen
class ApiKey(Record):
    """A key as a listing has it, without its secret.

    Attributes:
        api_key_id: the id that `delete` takes.
        name: the key's name; it need not be unique.
        prefix: the first characters of the secret, for display.
        created_at: when the key was created.
        inbox_id: the inbox that the key is limited to, or None.
        pod_id: the pod that the key is limited to, or None.
        used_at: when the key was last used, or None if it never was.
        permissions: what the key may do, or None if the service does not say.
    """

    api_key_id: str
    name: str
    prefix: str
    created_at: datetime
    inbox_id: str | None = None
    pod_id: str | None = None
    used_at: datetime | None = None
    permissions: dict[str, bool] | None = None

    @property
    def id(self) -> str:
        """The api_key_id."""
        return self.api_key_id


@attrs.frozen
class NewApiKey(Record):
    """A new key. Only the answer to its creation holds `api_key`, the secret.

    Attributes:
        request_id: the id of the request that created it, for the service's support, or None.
    """

    api_key_id: str
    api_key: Secret
    name: str
    prefix: str
    created_at: datetime
    inbox_id: str | None = None
    pod_id: str | None = None
    permissions: dict[str, bool] | None = None
    request_id: str | None = id_of_request()

    @property
    def id(self) -> str:
        """The api_key_id."""
        return self.api_key_id

    @property
    def secret(self) -> Secret:
        """The secret, `api_key`."""
        return self.api_key

    def listed(self) -> ApiKey:
        """Return the key as a listing has it, without its secret."""
        return listed(self, ApiKey)


@attrs.frozen
class _Listing:
    api_keys: tuple[ApiKey, ...]
    next_page_token: str | None = None
    request_id: str | None = id_of_request()


@attrs.frozen
class _Collection:
    """The three endpoints for the keys of one scope, and the kind of the scope."""

    surface: str
    kind: str
    create: Endpoint[NewApiKey]
    list: Endpoint[_Listing]
    delete: Endpoint[None]


def _collection(surface: str, kind: str, path: str) -> _Collection:
    path = f"/{surface}/v0{path}"
    return _Collection(
        surface,
        kind,
        create=Endpoint("POST", path, returns=NewApiKey),
        list=Endpoint("GET", path, returns=_Listing, idempotent=True),
        delete=Endpoint("DELETE", f"{path}/{{api_key_id}}", returns=None, idempotent=True),
    )


_HUMAN_TENANT: Final = _collection("human", "tenant", "/api-keys")
_HUMAN_INBOX: Final = _collection("human", "inbox", "/inboxes/{inbox_id}/api-keys")
_AGENT_TENANT: Final = _collection("agent", "tenant", "/api-keys")
_AGENT_INBOX: Final = _collection("agent", "inbox", "/inboxes/{inbox_id}/api-keys")
_AGENT_POD: Final = _collection("agent", "pod", "/pods/{pod_id}/api-keys")


class _Keys(Keys[NewApiKey]):
    """The keys of one scope; the base class of all collections."""

    def __init__(
        self, session: Session, collection: _Collection, scope: Mapping[str, str] | None = None
    ) -> None:
        self._scope = scope or {}
        super().__init__(
            session,
            Place(collection.create, self._scope, kind=collection.kind, surface=collection.surface),
        )
        self._collection = collection

    def list(
        self,
        *,
        limit: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
    ) -> Pager[ApiKey]:
        """List the scope's keys, newest first, across pages.

        Args:
            limit: the number of keys on a page, at least 1; the service's default if None.
            page_token: the `next_page_token` of a page, to start after that page.
            timeout: seconds for each page; defaults to the client's timeout.
        """
        return self._list(limit, page_token, timeout)

    async def delete(self, api_key_id: str, *, timeout: float | None = None) -> None:
        """Delete the key permanently; from then on, the service rejects it.

        Args:
            api_key_id: the key's `api_key_id`.
            timeout: seconds for the whole call; defaults to the client's timeout.

        Raises:
            NotFoundError: no key in this scope has this id.
        """
        path = {**self._scope, "api_key_id": arguments.segment("api_key_id", api_key_id)}
        await self._session.call(self._collection.delete, path=path, timeout=timeout)

    async def _prove(self, timeout: float) -> bool:
        await self._list(1, None, timeout).first()
        return True

    def _may_be(self, key: ApiKey, secret: Secret) -> bool:
        # The length of the prefix, and whether dots stand for the rest, are not documented.
        return secret.reveal().startswith(key.prefix.rstrip(".…*"))

    def _inherited(self, key: ApiKey) -> dict[str, Any]:
        limits = {"inbox_id": key.inbox_id} if key.inbox_id else {"pod_id": key.pod_id}
        for name, limit in limits.items():
            if limit and self._scope.get(name) != limit:
                raise InvalidArgumentError(
                    f"the key {key.id} is limited to {name} {limit}, but a new key in this"
                    " collection would not be: rotate it in the collection of that inbox or pod"
                )
        if key.permissions is not None:
            raise InvalidArgumentError(
                f"the key {key.id} has permissions of its own, but a new key on the human"
                " surface would have all permissions: rotate it on the agent surface"
            )
        return {}

    async def _create(
        self, name: str, timeout: float | None, permissions: dict[str, bool] | None = None
    ) -> NewApiKey:
        name = arguments.text("name", name)
        body: dict[str, object] = {"name": name}
        if permissions is not None:
            body["permissions"] = permissions
        return await self._make(name, body, timeout)

    def _list(
        self,
        limit: int | None,
        page_token: str | None,
        timeout: float | None,
        inbox_id: str | None = None,
    ) -> Pager[ApiKey]:
        query = {
            "limit": None if limit is None else arguments.whole_number("limit", limit, at_least=1),
            "inbox_id": None if inbox_id is None else arguments.segment("inbox_id", inbox_id),
        }
        start = None if page_token is None else arguments.text("page_token", page_token)
        seconds = None if timeout is None else arguments.timeout(timeout)

        async def fetch(token: str | None) -> Page[ApiKey]:
            listing = await self._session.call(
                self._collection.list,
                path=self._scope,
                query={**query, "page_token": token},
                timeout=seconds,
            )
            # Null, "" and an absent token mean the last page; an empty page with a token does not.
            token = listing.next_page_token or None
            return Page(listing.api_keys, token, request_id=listing.request_id)

        path = partial(self._session.path, self._collection.list, self._scope)
        return Pager(fetch, page_token=start, path=path)


class ApiKeys(_Keys):
    """The keys of one inbox, on the human surface."""

    async def create(self, name: str, *, timeout: float | None = None) -> NewApiKey:
        """Create a key; only the result holds its secret, in `api_key`.

        If the call is cancelled after its request may have been sent, the call continues for up to
        two seconds, and deletes the new key. `agentkeys.issue` creates a key and stores its secret.

        Args:
            name: the key's name; it need not be unique.
            timeout: seconds for the whole call; defaults to the client's timeout.

        Raises:
            NotFoundError: the inbox does not exist.
            RequestError: read its `applied` before you repeat the call; the key may exist.
        """
        return await self._create(name, timeout)


class TenantApiKeys(ApiKeys):
    """The keys of the tenant, on the human surface."""

    def list(
        self,
        *,
        inbox_id: str | None = None,
        limit: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
    ) -> Pager[ApiKey]:
        """List the tenant's keys, newest first, across pages.

        Args:
            inbox_id: list only the keys of this inbox.
            limit: the number of keys on a page, at least 1; the service's default if None.
            page_token: the `next_page_token` of a page, to start after that page.
            timeout: seconds for each page; defaults to the client's timeout.
        """
        return self._list(limit, page_token, timeout, inbox_id)


class AgentApiKeys(_Keys):
    """The keys of a tenant, an inbox or a pod, on the agent surface."""

    def _inherited(self, key: ApiKey) -> dict[str, Any]:
        super()._inherited(attrs.evolve(key, permissions=None))
        return {} if key.permissions is None else {"permissions": key.permissions}

    async def create(
        self,
        name: str,
        *,
        permissions: Mapping[str, bool] | None = None,
        timeout: float | None = None,
    ) -> NewApiKey:
        """Create a key; only the result holds its secret, in `api_key`.

        If the call is cancelled after its request may have been sent, the call continues for up to
        two seconds, and deletes the new key. `agentkeys.issue` creates a key and stores its secret.

        Args:
            name: the key's name; it need not be unique.
            permissions: what the key may do, like ``{"read_inbox": True}``; the service's default
                if None. Agentry does not document all flags, so any name is accepted.
            timeout: seconds for the whole call; defaults to the client's timeout.

        Raises:
            NotFoundError: the inbox or the pod does not exist.
            RequestError: read its `applied` before you repeat the call; the key may exist.
        """
        flags = None if permissions is None else arguments.flags("permissions", permissions)
        return await self._create(name, timeout, flags)


@attrs.frozen
class Inbox:
    """An inbox on the human surface."""

    api_keys: ApiKeys


@attrs.frozen
class AgentScope:
    """An inbox or a pod on the agent surface."""

    api_keys: AgentApiKeys


class AgentSurface(Unpicklable):
    """The API for agents: the keys of the tenant, of its inboxes and of its pods."""

    _instead = "get it from its client again"

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def api_keys(self) -> AgentApiKeys:
        """The tenant's keys."""
        return AgentApiKeys(self._session, _AGENT_TENANT)

    def inbox(self, inbox_id: str) -> AgentScope:
        """Return one inbox; no request is sent."""
        scope = {"inbox_id": arguments.segment("inbox_id", inbox_id)}
        return AgentScope(AgentApiKeys(self._session, _AGENT_INBOX, scope))

    def pod(self, pod_id: str) -> AgentScope:
        """Return one pod; no request is sent."""
        scope = {"pod_id": arguments.segment("pod_id", pod_id)}
        return AgentScope(AgentApiKeys(self._session, _AGENT_POD, scope))


class AgentryClient(Client):
    """A client of Agentry, for the keys of a tenant, its inboxes and its pods."""

    _service = Service(
        "Agentry",
        "https://api.agentry.to",
        "AGENTRY_BASE_URL",
        Reader(as_spelt),
        key_form="(ag_)[A-Za-z0-9_.-]+",
        variables=("AGENTRY_API_KEY",),
    )

    @property
    def api_keys(self) -> TenantApiKeys:
        """The tenant's keys, on the human surface."""
        return TenantApiKeys(self._session, _HUMAN_TENANT)

    @property
    def agent(self) -> AgentSurface:
        """The API for agents."""
        return AgentSurface(self._session)

    def inbox(self, inbox_id: str) -> Inbox:
        """Return one inbox on the human surface; no request is sent.

        Raises:
            InvalidArgumentError: the id cannot be one segment of a path.
        """
        scope = {"inbox_id": arguments.segment("inbox_id", inbox_id)}
        return Inbox(ApiKeys(self._session, _HUMAN_INBOX, scope))

    @classmethod
    def _from_environment(cls) -> Credentials:
        token = from_environment("AGENTRY_API_KEY")
        if token is None:
            raise ConfigurationError(
                "no credentials for Agentry: pass a key, or set AGENTRY_API_KEY, or"
                " AGENTRY_API_KEY_FROM to the address of the store that holds the key"
            )
        return BearerToken(token) if isinstance(token, Secret) else StoredToken(token)
