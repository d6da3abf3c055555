from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio
from samples import agentity, agentry

from agentkeys import PasswordLogin
from agentkeys.lifecycle import attempts
from agentkeys.server import LocalService


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's attempts are remembered."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))
    return attempts.folder()


@attrs.frozen
class Place:
    """A collection of keys on a local service."""

    service: LocalService
    client: Any
    keys: Any
    name: str

    async def names(self) -> list[str]:
        return [key.name for key in await self.keys.list().collect()]

    async def works(self, secret: str) -> bool:
        """Whether a live key has this secret: an Agentry key is used, an Agentity key is looked up."""
        if self.name == "agentity":
            return await holds_live_key(self.service, secret)
        async with agentry(self.service.url, secret) as bearer:
            await bearer.inbox(self.service.inbox_id).api_keys.list().first()
            return True


@pytest_asyncio.fixture(params=["agentity", "agentry"])
async def place(request):
    """Give the account's keys, and an inbox's."""
    async with LocalService() as service, contextlib.AsyncExitStack() as exits:
        if request.param == "agentity":
            login = PasswordLogin(service.email, service.password)
            client = await exits.enter_async_context(agentity(service.url, login))
            yield Place(service, client, client.api_keys, "agentity")
        else:
            client = await exits.enter_async_context(agentry(service.url, service.agentry_token))
            yield Place(service, client, client.inbox(service.inbox_id).api_keys, "agentry")


def left(state: Path) -> list[dict[str, Any]]:
    """Return the first steps of the attempts that are left."""
    return [json.loads(path.read_text().splitlines()[0]) for path in state.glob("*.attempt")]
