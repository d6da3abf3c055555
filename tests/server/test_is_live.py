"""`is_live` knows the secret of every key there is, and of none that is gone."""

from __future__ import annotations

import pytest
from samples import agentity, agentry

from agentkeys import PasswordLogin, Secret, sync
from agentkeys.server import LocalService


@pytest.mark.asyncio
async def test_a_key_is_live_from_its_creation_to_its_deletion():
    """Of both services; and what is no key is not live."""
    async with (
        LocalService() as service,
        agentity(service.url, PasswordLogin(service.email, service.password)) as account,
        agentry(service.url, service.agentry_token) as tenant,
    ):
        for keys in (account.api_keys, tenant.api_keys):
            new, other = await keys.create("ci"), await keys.create("other")
            assert await service.is_live(new.secret)
            assert await service.is_live(new.secret.reveal())
            await keys.delete(new.id)
            assert not await service.is_live(new.secret)
            assert await service.is_live(other.secret)
        for nonsense in ("", "ag_", "\udc80", "agk_live_" + "0" * 38):
            assert not await service.is_live(nonsense)


def test_the_blocking_twin_knows_it_too():
    """The same answer without await."""
    with (
        sync.LocalService() as service,
        sync.AgentryClient(service.agentry_token, base_url=service.url) as client,
    ):
        new = client.api_keys.create("ci")
        assert service.is_live(new.api_key)
        client.api_keys.delete(new.id)
        assert not service.is_live(Secret(new.api_key.reveal()))
