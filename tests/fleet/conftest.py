from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from fleets import LEASE, Fleet
from samples import agentry

from agentkeys import Secret
from agentkeys.fleet.engine import Queue
from agentkeys.fleet.engine.tables import SCHEMA
from agentkeys.server import LocalService


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


@pytest.fixture
def journal(database, monkeypatch) -> str:
    """The address of the journal and of the queue beside it."""
    monkeypatch.setenv("AGENTKEYS_JOURNAL", f"{database}?lease={LEASE}")
    return database


@pytest_asyncio.fixture
async def queue(journal):
    async with Queue(Secret(journal)) as queue:
        yield queue


@pytest_asyncio.fixture
async def age(journal):
    """Change rows of the queue as time would, or a crash."""

    async def age(*statements: str, values: Sequence[object] = ()) -> None:
        async with await psycopg.AsyncConnection.connect(journal) as connection:
            await connection.execute(f"SET search_path TO {SCHEMA}")
            for each in statements:
                await connection.execute(each, values)

    return age


@pytest.fixture
def start(fleet, journal):
    """Start a command in a process of its own; what still runs at the end is killed."""
    env = {"AGENTRY_API_KEY": fleet.service.agentry_token, "AGENTRY_BASE_URL": fleet.service.url}
    started = []

    def start(*words: str, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "agentkeys", *words]
        own = {**os.environ, **env, **more}
        started.append(subprocess.Popen(command, env=own, cwd=fleet.folder))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()
