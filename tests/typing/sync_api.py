"""The blocking surface, for mypy --strict and pyright. It is checked and never run."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_type

from agentkeys import (
    Issued,
    Known,
    Page,
    PasswordLogin,
    Policy,
    Report,
    RetryPolicy,
    Rotated,
    Secret,
    Status,
    Swept,
    agentity,
    agentry,
)
from agentkeys.server import Clock, RecordedRequest
from agentkeys.server.blocking import BlockingFault
from agentkeys.server.faults import CREATES, Reset
from agentkeys.sync import (
    AgentityApiKeys,
    AgentityClient,
    AgentryAgentApiKeys,
    AgentryApiKeys,
    AgentryClient,
    AgentryTenantApiKeys,
    BlockingPager,
    LocalService,
    abort,
    adopt,
    announced,
    audit,
    issue,
    lease,
    login,
    register,
    rotate,
    status,
    sweep,
)


def agentity_keys() -> None:
    with AgentityClient(PasswordLogin("me@example.com", "pw"), timeout=10) as client:
        assert_type(client, AgentityClient)
        assert_type(client.api_keys, AgentityApiKeys)
        new = client.api_keys.create("ci", timeout=1)
        assert_type(new, agentity.NewApiKey)
        assert_type(new.key, Secret)
        for key in client.api_keys.list():
            assert_type(key, agentity.ApiKey)
        assert_type(client.api_keys.list(timeout=1), BlockingPager[agentity.ApiKey])
        assert_type(iter(client.api_keys.list()), Iterator[agentity.ApiKey])
        for page in client.api_keys.list().pages():
            assert_type(page, Page[agentity.ApiKey])
        assert_type(client.api_keys.list().collect(), list[agentity.ApiKey])
        assert_type(client.api_keys.list().first(), Page[agentity.ApiKey])
        client.api_keys.delete(new.id)
        client.api_keys.delete("42")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        client.api_keys.create(nick="ci")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        client.api_keys.create("ci", tiemout=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        client.api_keys.create(name="ci")
        client.api_keys.list(limit=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(register("me@x", "pw", name="Me", base_url="https://x"), agentity.Account)
    assert_type(login("me@x", "pw", timeout=5), agentity.Tokens)
    register("me@x", "pw", name="Me", tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def nothing_is_awaitable(client: AgentityClient) -> None:
    await client.api_keys.create("ci")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    await client.api_keys.list().first()  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    async for _ in client.api_keys.list():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass
    async with client:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportAttributeAccessIssue]
        pass


def agentry_keys() -> None:
    with AgentryClient("ag_...", retry=RetryPolicy(tries=1)) as client:
        keys = client.inbox("support@acme.to").api_keys
        assert_type(keys, AgentryApiKeys)
        new = keys.create("ci")
        assert_type(new, agentry.NewApiKey)
        listing = keys.list(limit=50, page_token="t", timeout=1)
        assert_type(listing, BlockingPager[agentry.ApiKey])
        assert_type(listing.first().items, tuple[agentry.ApiKey, ...])
        keys.delete(new.api_key_id)
        keys.delete(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert_type(client.api_keys, AgentryTenantApiKeys)
        client.api_keys.list(inbox_id="i", limit=1)
        keys.list(inbox_id="i")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        agent = client.agent
        for scope in (agent.api_keys, agent.inbox("i").api_keys, agent.pod("p").api_keys):
            assert_type(scope, AgentryAgentApiKeys)
            assert_type(scope.create("ci", permissions={"read": True}), agentry.NewApiKey)
        keys.create("ci", permissions={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def issuing(client: AgentityClient, other: AgentryClient) -> None:
    with lease(client.api_keys, "worker-7") as lent:
        assert_type(lent, agentity.NewApiKey)
    issued = issue(client.api_keys, "ci", into="dotenv:.env#KEY", replace=True)
    assert_type(issued, Issued[agentity.ApiKey])
    assert_type(issue(other.inbox("i").api_keys, "ci", into="memory:x").key, agentry.ApiKey)
    assert_type(sweep(client.api_keys), Swept)
    assert_type(audit(client.api_keys, policy=Policy(unused_for=1)), Report)
    rotated = rotate(other.inbox("i").api_keys, "ci", into="memory:x", grace=timedelta(days=1))
    assert_type(rotated, Rotated[agentry.ApiKey])
    assert_type(rotated.retires_at, datetime)
    assert_type(adopt(client.api_keys, 7, into="memory:x"), Known)
    assert_type(status(client.api_keys), Status)
    assert_type(abort(client.api_keys, "ci", secret="s"), tuple[str | int, ...])
    assert_type(announced(client.api_keys, "ci"), Known)
    rotate(client.api_keys, "ci", into="memory:x", grace="1d")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    issue(client.api_keys, "ci")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def settings(context: ssl.SSLContext) -> None:
    AgentityClient()
    AgentityClient("token", ssl=context, proxy="http://p", allow_http=True)
    AgentryClient(Secret("ag_x"), base_url="https://x").close()
    AgentityClient("token", session=None)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AgentityClient(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def local() -> None:
    with LocalService(database="sqlite:///keys.db", port=8080) as service:
        assert_type(service, LocalService)
        assert_type(service.url, str)
        assert_type(service.password, str)
        service.add_account("me@example.com", "pw")
        service.add_inbox("i", pod_id=None)
        service.add_pod("p")
    LocalService(prot=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def faults(service: LocalService) -> None:
    with service.faults.add(CREATES, Reset(), when="after", times="always") as fault:
        assert_type(fault, BlockingFault)
        assert_type(fault.hits, int)
        fault.wait(2, timeout=1)
    service.faults.add(CREATES, Reset(), when="during")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    for each in service.faults:
        each.remove()
    service.faults.clear()
    assert_type(service.clock, Clock)
    service.requests.wait(2, timeout=1)
    for request in service.requests:
        assert_type(request, RecordedRequest)
    assert_type(service.requests[-1].status, int | None)
