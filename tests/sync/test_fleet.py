"""The blocking twins of `plan` and `apply`."""

from __future__ import annotations

import pytest

from agentkeys import AgentryClient as AsyncClient
from agentkeys import ConfigurationError, InvalidArgumentError, PasswordLogin
from agentkeys.sync import AgentityClient, AgentryClient, LocalService, apply, plan


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file that declares a key of each service."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path / "home"))
    file = tmp_path / "agentkeys.toml"
    file.write_text(
        '[keys.bot]\nservice = "agentry"\ntenant = true\nstore = "file:bot"\n'
        '[keys.me]\nservice = "agentity"\nstore = "file:me"\n'
    )
    return file


def test_keys_are_made_as_declared(file):
    """Clients of both services, each with a thread of its own, work together."""
    with (
        LocalService() as service,
        AgentryClient(service.agentry_token, base_url=service.url) as agentry,
        AgentityClient(
            PasswordLogin(service.email, service.password), base_url=service.url
        ) as agentity,
    ):
        with plan(file, agentry, agentity) as made:
            assert made.counts == {"issue": 2}
            assert apply(made, agentry, agentity).done == {"issue": 2}
        with plan(file, agentity, agentry) as made:
            assert made.counts == {"nothing": 2}


def test_clients_must_be_blocking_ones(file):
    """And there must be one."""
    with pytest.raises(InvalidArgumentError, match=r"agentkeys\.fleet\.plan"):
        plan(file, AsyncClient("ag_x"))
    with pytest.raises(ConfigurationError, match="a client of each service"):
        plan(file)
