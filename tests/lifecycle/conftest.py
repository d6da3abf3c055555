from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attempt_files
import pytest
import pytest_asyncio
from chaos import spying
from lifecycle import Place
from samples import agentity, agentry

from agentkeys import PasswordLogin, Secret
from agentkeys.server import LocalService

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's attempts are remembered."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))
    return attempt_files.folder()


@pytest_asyncio.fixture(params=["agentity", "agentry"])
async def place(request):
    """Give the account's keys, and an inbox's."""
    made: dict[Any, Secret] = {}
    service = LocalService(middlewares=[spying(made)])
    async with service, contextlib.AsyncExitStack() as exits:
        if request.param == "agentity":
            login = PasswordLogin(service.email, service.password)
            client = await exits.enter_async_context(agentity(service.url, login))
            yield Place(service, client, client.api_keys, "agentity", made)
        else:
            client = await exits.enter_async_context(agentry(service.url, service.agentry_token))
            keys = client.inbox(service.inbox_id).api_keys
            yield Place(service, client, keys, "agentry", made)
