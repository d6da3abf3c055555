from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_asyncio
from samples import agentry

from agentkeys.agentry import AgentryClient
from agentkeys.server import LocalService
from agentkeys.stores import open_store


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's attempts are remembered."""
    home = tmp_path / "home"
    monkeypatch.setenv("AGENTKEYS_HOME", str(home))
    return home


@pytest_asyncio.fixture
async def service():
    async with LocalService() as service:
        yield service


@pytest_asyncio.fixture
async def client(service):
    async with agentry(service.url, service.agentry_token) as client:
        yield client


EACH = """
[defaults]
max_age = "90d"
{defaults}
[keys.each]
from = "inboxes.csv"
service = "agentry"
inbox = "{{inbox}}"
name = "agent-{{slug}}"
store = "{store}"
"""


@attrs.frozen
class Fleet:
    """Many inboxes, and a file that declares a key for each.

    Attributes:
        folder: where the file lies.
        service: the service that has the inboxes.
        client: a client of it.
        inboxes: their names.
    """

    folder: Path
    service: LocalService
    client: AgentryClient
    inboxes: list[str]

    @property
    def file(self) -> Path:
        return self.folder / "agentkeys.toml"

    def address(self, n: int) -> str:
        return f"file:{self.folder}/run/key-{n}"

    def declare(
        self, *, defaults: str = "", inboxes: list[str] | None = None, more: str = ""
    ) -> None:
        """Write the file, and the rows."""
        named = self.inboxes if inboxes is None else inboxes
        rows = [f"{inbox},{self.inboxes.index(inbox)}" for inbox in named]
        (self.folder / "inboxes.csv").write_text("\n".join(["inbox,slug", *rows, ""]))
        store = "file:run/key-{slug}"
        self.file.write_text(EACH.format(defaults=defaults, store=store) + more)

    async def keys(self, n: int) -> list[Any]:
        """Return the keys of an inbox."""
        return list(await self.client.inbox(self.inboxes[n]).api_keys.list().collect())

    async def whole(self) -> dict[str, list[str]]:
        """Return the names of all keys, by inbox, without what each nonce adds."""
        return {
            inbox: [key.name.partition("~")[0] for key in await self.keys(n)]
            for n, inbox in enumerate(self.inboxes)
        }

    async def is_as_declared(self) -> bool:
        """Whether each inbox has one key of its name, whose secret is in its store and lives."""
        for n, names in enumerate((await self.whole()).values()):
            secret = (await open_store(self.address(n)).read()).secret
            if names != [f"agent-{n}"] or secret is None:
                return False
            if not await self.service.is_live(secret):
                return False
        return True


@pytest_asyncio.fixture
async def fleet(tmp_path, service, client):
    """Twelve inboxes, each of which shall have a key."""
    (tmp_path / "run").mkdir()
    inboxes = [f"agent{n}@acme.to" for n in range(12)]
    for inbox in inboxes:
        await service.add_inbox(inbox)
    fleet = Fleet(tmp_path, service, client, inboxes)
    fleet.declare()
    return fleet
