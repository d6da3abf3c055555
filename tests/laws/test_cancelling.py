"""A call can be cancelled at any moment: nothing of it is left, and the client is as good as new.

The moments are not sampled. Each call is made again and again, and cancelled before the first
callback that the event loop runs, before the second, and so on, until it is done first.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from itertools import count, product
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from samples import agentity, agentry
from sockets import see_none_left, sockets
from stepping import SteppingLoop, cancelled_everywhere
from ways import SCOPES

from agentkeys import AgentKeysError, PasswordLogin
from agentkeys.agentity import login, register
from agentkeys.server.faults import (
    CREATES,
    DELETES,
    LISTS,
    LOGIN,
    REFRESH,
    Answer,
    Close,
    Delay,
    HalfBody,
    HugeBody,
    MalformedJson,
    Redirect,
    Reset,
    Trickle,
    WrongLength,
)
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentkeys.transport.client import Client

# What ends by itself, and soon.
KINDS = [
    Answer(503),
    Answer(429, headers={"Retry-After": "0"}),
    Answer(400, {"message": "no"}),
    Close(),
    Delay(0),
    HalfBody(),
    HugeBody(300_000),
    HugeBody(300_000, chunked=True),
    MalformedJson(),
    Redirect("http://elsewhere.test/"),
    Reset(),
    Trickle(0),
    WrongLength(5),
]
VERBS = {
    "create": lambda keys, name: keys.create(name),
    "list": lambda keys, _: keys.list().collect(),
    "delete": lambda keys, key_id: keys.delete(key_id),
}


@pytest.fixture
def service() -> Iterator[LocalService]:
    """Run a service in another thread, so that the loop under test has the client's steps only."""
    with LocalService() as service:
        service.add_pod("p")
        service.add_inbox("i", "p")
        yield service


@pytest.fixture(scope="module", autouse=True)
def collected() -> Iterator[None]:
    """What would complain when it is collected does so here; once, for it takes long."""
    yield
    gc.collect()


@pytest.fixture
def run(service, caplog) -> Callable[..., None]:
    """Cancel a call everywhere; nothing is logged but what may be, and no socket is left."""

    def run(attempts: Any, *, at_least: int, but: str | None = None) -> None:
        before = sockets()
        with asyncio.Runner(loop_factory=SteppingLoop) as runner:
            points = runner.run(cancelled_everywhere(attempts))
        said = [each.getMessage() for each in caplog.records if each.levelname != "DEBUG"]
        assert [words for words in said if but is None or but not in words] == []
        see_none_left(before, service)
        assert points >= at_least

    return run


def client_of(service: LocalService, which: str, **settings: Any) -> Client:
    if which == "agentity":
        return agentity(service.url, PasswordLogin(service.email, service.password), **settings)
    return agentry(service.url, service.agentry_token, **settings)


async def subject_of(verb: str, keys: Any, n: int) -> Any:
    """Return the id of a key that can be deleted, or a name that can be given."""
    return (await keys.create(f"key {n}")).id if verb == "delete" else f"key {n}"


async def failing(call: Any, *args: Any) -> None:
    """Make a call that may fail if it is not cancelled."""
    with suppress(AgentKeysError):
        await call(*args)


async def log_in(service: LocalService, _: int) -> None:
    await login(service.email, service.password, base_url=service.url)


async def open_account(service: LocalService, n: int) -> None:
    await register(f"{n}@example.com", "pw", name="Me", base_url=service.url)


@pytest.mark.parametrize("is_warm", [True, False], ids=["pooled connection", "new connection"])
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES.keys())
def test_a_call_can_be_cancelled_anywhere(run, service, scope, verb, is_warm):
    """Each endpoint of both services; and no key is left that nobody holds."""

    async def attempts():
        async with client_of(service, scope.service) as owner:
            for n in count():
                subject = await subject_of(verb, scope.keys(owner), n)
                async with client_of(service, scope.service) as client:
                    keys = scope.keys(client)
                    if is_warm:
                        await keys.list().first()
                    yield client, VERBS[verb](keys, subject)
                    # The one that was not cancelled ends the attempts before it gets here.
                    assert subject not in [key.name async for key in keys.list()]

    run(attempts(), at_least=3 if is_warm else 8)


@pytest.mark.long
@pytest.mark.parametrize("fault", list(product(KINDS, ["before", "after"])), ids=repr)
@pytest.mark.parametrize("verb", VERBS)
def test_so_it_can_when_the_service_misbehaves(run, service, caplog, verb, fault):
    """In the tries, the waits, and the reading; a key that is left is named in a warning."""
    kind, when = fault
    # Whoever says that he refused is believed.
    is_a_lie = isinstance(kind, Answer) and kind.status in {400, 429}
    routes = {"create": CREATES, "list": LISTS, "delete": DELETES}[verb]

    async def attempts():
        async with client_of(service, "agentry") as owner:
            for n in count():
                subject = await subject_of(verb, owner.api_keys, n)
                async with client_of(service, "agentry") as client:
                    service.faults.add(routes, kind, when=when, times=2)
                    yield client, failing(VERBS[verb], client.api_keys, subject)
                    service.faults.clear()
                    left = [key.name async for key in client.api_keys.list()]
                    is_named = f"{subject!r} was cancelled" in caplog.text
                    assert subject not in left or is_named or is_a_lie

    run(attempts(), at_least=8, but="the key may exist" if verb == "create" else None)


def test_so_it_can_while_the_token_is_renewed(run, service):
    """And the session is not lost: whoever comes next needs no second login."""

    async def attempts():
        for n in count(1):
            async with client_of(service, "agentity") as client:
                await client.api_keys.list().first()
                service.clock.advance(3600)
                yield client, client.api_keys.list().first()
                await client.api_keys.list().first()
            assert [seen.route for seen in service.requests].count("POST /auth/token") == n

    run(attempts(), at_least=8)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS, ids=repr)
@pytest.mark.parametrize("routes", [LOGIN, REFRESH], ids=["login", "refresh"])
def test_so_it_can_while_the_renewal_fails(run, service, routes, kind):
    """Whatever becomes of a renewal that nobody waits for any more, nothing is heard of it."""

    async def attempts():
        for _ in count():
            async with client_of(service, "agentity") as client:
                if routes == REFRESH:
                    await client.api_keys.list().first()
                    service.clock.advance(3600)
                service.faults.add(routes, kind, when="after", times=2)
                yield client, failing(client.api_keys.list().first)
                service.faults.clear()
                await client.api_keys.list().first()

    run(attempts(), at_least=8)


@pytest.mark.parametrize("call", [log_in, open_account])
def test_so_can_a_login_and_a_registration(run, service, call):
    """They have a client of their own, which is closed however they end."""

    async def attempts():
        async with client_of(service, "agentity") as another:
            for n in count():
                yield another, call(service, n)

    run(attempts(), at_least=8)


def test_so_can_the_closing_of_a_client(run, service):
    """What was cut short is made up for by closing once more."""

    async def attempts():
        for _ in count():
            client = client_of(service, "agentry")
            await client.api_keys.list().first()
            yield client, client.close()
            await client.close()

    run(attempts(), at_least=1)


def test_so_can_a_call_on_a_session_that_is_lent(run, service):
    """One connection is all that it may have, so none that is lost would go unnoticed."""

    async def attempts():
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as lent:
            client = client_of(service, "agentry", session=lent)
            for n in count():
                yield client, client.api_keys.create(f"key {n}")
                await client.api_keys.list().first()

    run(attempts(), at_least=4)
