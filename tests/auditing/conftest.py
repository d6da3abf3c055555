from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from audited import World
from samples import agentity, agentry

from agentkeys import PasswordLogin
from agentkeys.server import LocalService

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's attempts are remembered."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest_asyncio.fixture
async def world(tmp_path: Path):
    folder = tmp_path / "work"
    folder.mkdir()
    async with LocalService() as service:
        login = PasswordLogin(service.email, service.password)
        async with (
            agentity(service.url, login) as one,
            agentry(service.url, service.agentry_token) as two,
        ):
            inbox = two.inbox(service.inbox_id).api_keys
            yield World(service, one.api_keys, inbox, two.api_keys, folder)
