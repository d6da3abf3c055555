"""Keys to issue on a service that misbehaves, and the law that there is exactly one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import attrs
from aiohttp import web
from samples import agentity, agentry

from agentkeys import PasswordLogin, Secret
from agentkeys.server import LocalService
from agentkeys.stores import ANY, MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentkeys import Store

BASE = "billing-bot"
SERVICES = ["agentity", "agentry"]


@attrs.frozen
class Place:
    """Keys of a local service, and what is known of them there."""

    service: Any
    keys: Any

    async def ids(self) -> list[Any]:
        """Return the ids of the keys of that base name."""
        listed = await self.keys.list().collect()
        return [key.id for key in listed if key.name.partition("~")[0] == BASE]

    async def holds_one_key_that_works(self, store: Store) -> Any:
        """See that there is exactly one, and that the store has its secret; return its id."""
        [key_id] = await self.ids()
        assert await self.is_kept(store)
        return key_id

    async def is_kept(self, store: Store) -> bool:
        secret = (await store.read()).secret
        return secret is not None and await self.service.is_live(secret)


def client_of(service: Any, which: str, **settings: Any) -> Any:
    if which == "agentity":
        return agentity(service.url, PasswordLogin(service.email, service.password), **settings)
    return agentry(service.url, service.agentry_token, **settings)


def keys_of(service: Any, client: Any) -> Any:
    if hasattr(client, "inbox"):
        return client.inbox(service.inbox_id).api_keys
    return client.api_keys


@contextlib.asynccontextmanager
async def place_at(which: str, **settings: Any) -> AsyncIterator[Place]:
    """Give the keys of an account of Agentity's, or of an inbox of Agentry's."""
    async with LocalService() as service, client_of(service, which, **settings) as client:
        yield Place(service, keys_of(service, client))


def spying(made: dict[Any, Secret]):
    """Note the secrets of the keys that are made, as the service answers them."""

    @web.middleware
    async def spy(request, handler):
        response = await handler(request)
        if (
            request.method == "POST"
            and request.path.endswith("/api-keys")
            and response.status < 300
        ):
            new = json.loads(response.body)
            secret = new.get("key", new.get("api_key"))
            if secret is not None:
                made[new.get("id", new.get("api_key_id"))] = Secret(secret)
        return response

    return spy


class Fickle(MemoryStore):
    """A store that does not do as it says. Each of its moods is a name."""

    def __init__(self, *moods: str) -> None:
        super().__init__()
        self.moods = set(moods)

    async def probe(self) -> None:
        self._refuse("probe fails")

    async def read(self) -> Any:
        self._refuse("read fails")
        if "was written" in self.moods:
            self._refuse("read fails later")
            await self._hang("read hangs")
        return await super().read()

    async def write(self, secret: Secret, *, expected: Any = ANY) -> Any:
        self.moods.add("was written")
        await self._hang("write hangs")
        self._refuse("write fails before", secret)
        if "write lies" in self.moods:
            return await super().write(type(secret)("another"), expected=expected)
        version = await super().write(secret, expected=expected)
        self._refuse("write fails after", secret)
        return version

    async def _hang(self, mood: str) -> None:
        if mood in self.moods:
            await asyncio.Event().wait()

    def _refuse(self, mood: str, secret: Secret | None = None) -> None:
        if mood in self.moods:
            raise RuntimeError(mood, secret and secret.reveal())
