"""The public surface, for mypy --strict and pyright. It is checked and never run."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, assert_type

from agentkeys import (
    AgentityClient,
    AgentryClient,
    APIError,
    BearerToken,
    CachedLogin,
    Credentials,
    DecodeError,
    Finding,
    Issued,
    Known,
    Page,
    Pager,
    PasswordLogin,
    Policy,
    RateLimit,
    Report,
    RequestError,
    RetryPolicy,
    Rotated,
    Secret,
    Status,
    StoredToken,
    Swept,
    TokenPair,
    abort,
    adopt,
    agentity,
    agentry,
    announced,
    audit,
    issue,
    lease,
    rotate,
    status,
    sweep,
)
from agentkeys.errors import Applied
from agentkeys.keys import Key, KeyCollection, NewKey, Scope
from agentkeys.server import Clock, LocalService, RecordedRequest
from agentkeys.server.faults import (
    AGENTRY,
    CREATES,
    LISTS,
    Answer,
    Fault,
    Html,
    NeverAnswer,
    RepeatedCursor,
    Reset,
)
from agentkeys.stores import Store, open_store

if TYPE_CHECKING:
    from agentkeys.credentials import Caller


async def agentity_keys() -> None:
    async with AgentityClient(PasswordLogin("me@example.com", "pw"), timeout=10) as client:
        assert_type(client, AgentityClient)
        new = await client.api_keys.create("ci", timeout=1)
        assert_type(new, agentity.NewApiKey)
        assert_type(new.id, int)
        assert_type(new.key, Secret)
        assert_type(new.secret.reveal(), str)
        assert_type(new.created_at, datetime)
        async for key in client.api_keys.list():
            assert_type(key, agentity.ApiKey)
        async for page in client.api_keys.list().pages():
            assert_type(page, Page[agentity.ApiKey])
        assert_type(await client.api_keys.list().collect(), list[agentity.ApiKey])
        await client.api_keys.delete(new.id)
        await client.api_keys.delete("42")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await client.api_keys.create(nick="ci")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    account = await agentity.register("me@example.com", "pw", name="Me", base_url="https://x")
    assert_type(account, agentity.Account)
    await agentity.register("me@example.com", "pw", name="Me", tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def credentials_in_stores(store: Store) -> None:
    for source in ("file:/run/secrets/pw", Secret("file:/run/secrets/pw"), store):
        AgentityClient(PasswordLogin("me@example.com", password_from=source))
        AgentityClient(StoredToken(source))
        AgentryClient(StoredToken(source))
    AgentityClient(CachedLogin(PasswordLogin("me@example.com", "pw"), keyring=True))
    CachedLogin("me@example.com")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    PasswordLogin("me@example.com", "pw", "file:/run/secrets/pw")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    PasswordLogin("me@example.com", password_from=b"pw")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    StoredToken(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def agentry_keys() -> None:
    async with AgentryClient("ag_...", retry=RetryPolicy(tries=1)) as client:
        keys = client.inbox("support@acme.to").api_keys
        new = await keys.create("ci")
        assert_type(new, agentry.NewApiKey)
        assert_type(new.api_key, Secret)
        assert_type(new.inbox_id, str | None)
        listing = keys.list(limit=50, page_token="t", timeout=1)
        assert_type(listing, Pager[agentry.ApiKey])
        page = await listing.first()
        assert_type(page.items, tuple[agentry.ApiKey, ...])
        assert_type(page.next_page_token, str | None)
        assert_type(page.count, int)
        await keys.delete(new.api_key_id)
        client.api_keys.list(inbox_id="i", limit=1)
        keys.list(inbox_id="i")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        agent = client.agent
        for scope in (agent.api_keys, agent.inbox("i").api_keys, agent.pod("p").api_keys):
            await scope.create("ci", permissions={"read_inbox": True})
        await keys.create("ci", permissions={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


kept: list[agentity.Tokens] = []


def settings(context: ssl.SSLContext) -> None:
    AgentityClient()
    AgentityClient("token", ssl=context, proxy="http://p", allow_http=True, session=None)
    AgentityClient("token", rate=50)
    AgentryClient("token", rate=RateLimit(0.5, burst=10))
    AgentityClient("token", rate="50")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AgentryClient(Secret("ag_x"), base_url="https://x")
    AgentityClient(TokenPair("a", "r", on_renewal=kept.append))
    AgentityClient(TokenPair("a", Secret("r"), on_renewal=keep))
    AgentityClient(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AgentityClient(tiemout=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def keep(pair: agentity.Tokens) -> None:
    assert_type(pair.refresh_token, Secret)


class Vault:
    """Credentials of one's own."""

    def current(self) -> Secret | None:
        return None

    async def renew(self, caller: Caller, refused: Secret | None, timeout: float) -> Secret:
        return Secret("token")

    def secrets(self) -> Iterable[Secret]:
        return ()


vault: Credentials = Vault()
fixed: Credentials = BearerToken("token")
AgentityClient(Vault())


async def issuing(client: AgentityClient, other: AgentryClient) -> None:
    issued = await issue(client.api_keys, "ci", into=open_store("dotenv:.env#KEY"), timeout=5)
    assert_type(issued, Issued[agentity.ApiKey])
    assert_type(issued.key.nickname, str)
    assert_type(issued.recovered, tuple[str | int, ...])
    one = await issue(other.agent.api_keys, "ci", into="memory:x", permissions={"read_inbox": True})
    assert_type(one.key, agentry.ApiKey)
    assert_type(await sweep(client.api_keys), Swept)
    rotated = await rotate(
        other.inbox("i").api_keys, "ci", into="memory:x", grace=timedelta(days=1)
    )
    assert_type(rotated, Rotated[agentry.ApiKey])
    assert_type(rotated.retires_at, datetime)
    assert_type(await adopt(client.api_keys, 7, into="memory:x"), Known)
    assert_type(await status(client.api_keys), Status)
    assert_type(await abort(client.api_keys, "ci", secret="s"), tuple[str | int, ...])
    assert_type(await announced(client.api_keys, "ci"), Known)
    await rotate(client.api_keys, "ci", into="memory:x", grace="1d")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(client.api_keys.scope, Scope)
    async with lease(client.api_keys, "worker-7", timeout=5) as leased:
        assert_type(leased, agentity.NewApiKey)
    async with lease(other.api_keys, "worker-7") as lent:
        assert_type(lent, agentry.NewApiKey)
    await issue(client.api_keys, "ci")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # nowhere to keep it
    await issue(client.api_keys, "ci", into=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def both(keys: KeyCollection[int, Key[int], NewKey[int]]) -> AsyncIterator[str]:
    """Code for every service is written against the protocols."""
    new = await keys.create("ci")
    assert_type(new.secret, Secret)
    async for key in keys.list():
        yield key.name
    await keys.delete(new.id)


async def audits(
    one: AgentityClient, keys: KeyCollection[str, agentry.ApiKey, NewKey[str]]
) -> None:
    report = await audit(one.api_keys, policy=Policy(max_age=timedelta(days=90), ignore="AK002"))
    assert_type(report, Report)
    assert_type(report.findings, tuple[Finding, ...])
    assert_type(report.ages[0].created_at, datetime)
    assert_type(report.at_least("warning"), tuple[Finding, ...])
    assert_type(report.html(), str)
    assert_type(report.policy.max_age, float | None)
    await audit(keys, timeout=5)
    await audit(one.api_keys, policy=90)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Policy(max_age="90d")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    report.at_least("bad")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def protocols(one: AgentityClient, two: AgentryClient) -> None:
    both(one.api_keys)
    generic: KeyCollection[str, agentry.ApiKey, agentry.NewApiKey] = two.api_keys
    assert_type(await generic.create("ci"), agentry.NewApiKey)
    agent: KeyCollection[str, agentry.ApiKey, agentry.NewApiKey] = two.agent.api_keys
    await agent.delete("key_1")


def errors(error: APIError, request: RequestError, decode: DecodeError) -> None:
    assert_type(error.status, int)
    assert_type(error.retry_after, float | None)
    assert_type(request.attempts, int)
    assert_type(request.applied, Applied)
    assert_type(decode.salvaged, Secret | None)


async def local() -> None:
    async with LocalService() as service:
        assert_type(service.url, str)
        assert_type(service.password, str)
        assert_type(service.inbox_id, str)
        await service.add_account("me@example.com", "pw")
        await service.add_inbox("i", pod_id=None)
        await service.add_pod("p")


async def faults() -> None:
    service = LocalService(clock=Clock(), recorded_requests=5)
    service.faults.add("POST /auth/api-keys", Reset(), when="after", times=2)
    service.faults.add(CREATES | {"GET /auth/api-keys"}, NeverAnswer(), times="always")
    service.faults.add(LISTS & AGENTRY, RepeatedCursor())
    service.faults.add(["POST /auth/token"], Answer(503, {"a": 1}, {"Retry-After": "0"}))
    service.faults.add(CREATES, Reset(), when="during")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.faults.add(CREATES, Reset(), times="once")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    service.faults.add(CREATES, Reset)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Answer("503")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with service.faults.add(CREATES, Html(502)) as fault:
        assert_type(fault, Fault)
        assert_type(fault.hits, int)
        await fault.wait(2, timeout=1)
    for each in service.faults:
        each.remove()
    service.faults.clear()


async def clock_and_requests(service: LocalService) -> None:
    assert_type(service.clock, Clock)
    service.clock.advance(0.5)
    service.clock.set(service.clock.now())
    service.clock.set("2030")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await service.requests.wait(2, timeout=1)
    assert_type(len(service.requests), int)
    for request in service.requests:
        assert_type(request, RecordedRequest)
    last = service.requests[-1]
    assert_type((last.method, last.path, last.request_id), tuple[str, str, str])
    assert_type(last.route, str | None)
    assert_type(last.status, int | None)
