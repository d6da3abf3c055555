"""`reset` puts a service back as it was when it started, and keeps its credentials."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime

import aiohttp
import pytest

from agentkeys import sync
from agentkeys.server import LocalService
from agentkeys.server.faults import ALL, CREATES, Answer, Delay, NeverAnswer

pytestmark = pytest.mark.asyncio
OTHER = "other@example.com"


async def test_no_key_is_left(api):
    """Of no account and no inbox, and the id of a deleted key does not come again."""
    service, token = api.service, await api.access_token()
    await api.create(api.tenant)
    first = (await api.send("POST", api.account, token=token, json={"nickname": "a"})).json
    await service.reset()
    assert await api.ids(api.tenant) == []
    assert not await service.is_live(first["key"])
    assert (await api.send("GET", api.account, token=token)).json == {"apiKeys": []}
    second = (await api.send("POST", api.account, token=token, json={"nickname": "a"})).json
    assert second["id"] > first["id"]


async def test_what_was_added_goes_and_what_it_started_with_stays(api_of):
    """Accounts, inboxes and pods; a nickname and an email may be used again."""
    async with LocalService(accounts=["a@b.c"], inboxes=["in"], pods=["po"]) as service:
        api = api_of(service)
        await service.add_account(OTHER, "correct horse")
        await service.add_pod("support")
        await service.add_inbox("support@acme.to", "support")
        # A session, and with it a token that refers to the account.
        assert (await api.login(OTHER, "correct horse")).status == 200
        await service.reset()
        assert (await api.login(OTHER, "correct horse")).status == 401
        assert (await api.login("a@b.c")).status == (await api.login()).status == 200
        assert {
            inbox: (
                await api.send(
                    "GET", f"/human/v0/inboxes/{inbox}/api-keys", token=service.agentry_token
                )
            ).status
            for inbox in ("in", service.inbox_id, "support@acme.to")
        } == {"in": 200, service.inbox_id: 200, "support@acme.to": 404}
        assert (
            await api.send("GET", "/agent/v0/pods/po/api-keys", token=service.agentry_token)
        ).status == 200


async def test_faults_the_clock_and_the_record_are_as_at_the_start(api):
    """The next request meets no fault, sees today, and is the first one."""
    service = api.service
    service.faults.add(ALL, Answer(503), times="always")
    service.clock.set(datetime(2031, 1, 1, tzinfo=UTC))
    await api.login()
    await service.reset()
    assert (await api.login()).status == 200
    assert abs((service.clock.now() - datetime.now(UTC)).total_seconds()) < 60
    assert [each.status for each in service.requests] == [200]
    assert service.requests.count == 1


@pytest.mark.parametrize("kind", [Delay(math.inf), NeverAnswer()], ids=repr)
async def test_a_request_that_a_fault_holds_back_is_not_acted_on(api, kind):
    """Else a key of the test before would come into the next one."""
    fault = api.service.faults.add(CREATES, kind)
    creating = asyncio.create_task(api.create(api.tenant))
    await fault.wait()
    await api.service.reset()
    with pytest.raises(aiohttp.ClientError):
        await creating
    assert await api.ids(api.tenant) == []


async def test_a_login_outlives_it(api):
    """An application that runs on between two tests need not log in again."""
    login = (await api.login()).json
    await api.service.reset()
    assert (await api.send("GET", api.account, token=login["accessToken"])).status == 200
    renewed = {"refreshToken": login["refreshToken"]}
    assert (await api.send("POST", "/auth/token/refresh", json=renewed)).status == 200


async def test_a_database_in_a_file_is_emptied_too(tmp_path):
    """What the file had before the service started goes with the rest."""
    database = f"sqlite:///{tmp_path / 'keys.db'}"
    async with LocalService(database=database) as service:
        await service.seed(["a"], service="agentry")
        password = service.password
    async with LocalService(database=database) as service:
        await service.reset()
        assert service.password == password
        await service.seed(["a"], service="agentity")
    async with LocalService(database=database) as service:
        await service.reset()
        await service.seed(["a"], service="agentity")  # the nickname is free


async def test_the_blocking_twin():
    """With the same words."""

    def work():
        with sync.LocalService() as service:
            (key,) = service.seed(["a"], service="agentry")
            assert service.is_live(key.secret)
            service.reset()
            assert not service.is_live(key.secret)

    await asyncio.to_thread(work)
