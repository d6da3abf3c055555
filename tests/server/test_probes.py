"""Whether the service lives and is ready: for orchestrators, without credentials."""

from __future__ import annotations

import pytest

from agentkeys.server import LocalService
from agentkeys.server.faults import ALL, NeverAnswer
from agentkeys.server.openapi import DOCUMENT

pytestmark = pytest.mark.asyncio
PROBES = ["/healthz", "/readyz"]


@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3:8080", "evil.test"])
async def test_a_probe_is_answered(api, path, method, host):
    """Under whatever name an orchestrator reaches it, faults or not; and it is not recorded."""
    api.service.faults.add(ALL, NeverAnswer(), times="always")
    answer = await api.send(method, path, headers={"Host": host})
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}' if method == "GET" else b"")
    assert list(api.service.requests) == []
    assert api.service.requests.count == 0


async def test_a_database_that_is_gone_is_alive_and_not_ready(tmp_path, api_of):
    """So that it gets no requests, and is not started again for nothing."""
    file = tmp_path / "keys.db"
    async with LocalService(database=f"sqlite:///{file}") as service:
        api = api_of(service)
        assert (await api.send("GET", "/readyz")).status == 200
        aside = file.rename(tmp_path / "aside.db")
        assert (await api.send("GET", "/healthz")).status == 200
        assert (await api.send("GET", "/readyz")).status == 503
        aside.rename(file)
        assert (await api.send("GET", "/readyz")).status == 200


@pytest.mark.parametrize("path", PROBES)
async def test_a_probe_is_no_part_of_the_services(path):
    """Neither Agentity nor Agentry has it."""
    assert path not in DOCUMENT["paths"]
