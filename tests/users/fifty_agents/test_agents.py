"""Tests of the fifty agents, as the page about testing shows them."""

import pytest
from agents import AGENTS, app, inbox_of
from dotenv import dotenv_values
from fastapi.testclient import TestClient

from agentkeys.server.faults import CREATES, LISTS, Answer, Reset


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def agentkeys_service(agentkeys_service):
    for agent in AGENTS:
        agentkeys_service.add_inbox(inbox_of(agent))
    return agentkeys_service


def test_each_agent_has_one_key_that_works(agentkeys_service, agentry_sync):
    with TestClient(app) as client:
        assert client.get("/agents/agent-07/keys").json()[0]["name"].startswith("agent-07~")
    secrets = dotenv_values("agents.env")
    assert len(set(secrets.values())) == len(AGENTS)
    for agent in AGENTS:
        keys = agentry_sync.inbox(inbox_of(agent)).api_keys
        assert len(keys.list().collect()) == 1


def test_a_second_start_makes_no_second_key(agentkeys_service, agentry_sync):
    for _ in range(2):
        with TestClient(app):
            pass
    assert len(agentry_sync.inbox(inbox_of("agent-00")).api_keys.list().collect()) == 1


def test_lost_answers_while_hiring_cost_no_key(agentkeys_service, agentry_sync):
    agentkeys_service.faults.add(CREATES, Reset(), when="after", times=10)
    agentkeys_service.faults.add(LISTS, Answer(503), times=5)
    with TestClient(app):
        pass
    for agent in AGENTS:
        assert len(agentry_sync.inbox(inbox_of(agent)).api_keys.list().collect()) == 1


def test_a_rotation_and_a_deletion(agentkeys_service):
    with TestClient(app) as client:
        (old,) = client.get("/agents/agent-07/keys").json()
        new = client.post("/agents/agent-07/keys/rotation").json()
        assert [key["api_key_id"] for key in client.get("/agents/agent-07/keys").json()] == [
            new["api_key_id"]
        ]
        path = f"/agents/agent-07/keys/{old['api_key_id']}"
        assert client.delete(path).status_code == 404
        assert client.delete(f"/agents/agent-07/keys/{new['api_key_id']}").status_code == 204
        assert client.get("/agents/nobody/keys").status_code == 404


def test_no_secret_shows(assert_no_leaks, tmp_path, agentkeys_service):
    assert_no_leaks.allow(tmp_path / "agents.env")
    with TestClient(app) as client:
        client.get("/agents/agent-07/keys")
        client.post("/agents/agent-07/keys/rotation")
