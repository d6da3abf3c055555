"""A blocking call does what the async one does, from wherever it is made."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from samples import KEY, NEW_KEY, SECRET, jwt
from wire import Seen, Wire, answer, hang

from agentkeys import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidArgumentError,
    PasswordLogin,
    TokenPair,
    TransportError,
)
from agentkeys.sync.portal import Portal

LISTING = answer(200, {"apiKeys": [KEY]})


def test_a_call_returns_what_the_async_one_returns(wire, agentity):
    """Create, list and delete: records, a listing, nothing."""
    server = wire(answer(201, NEW_KEY), LISTING, answer(204))
    keys = agentity(server.url).api_keys
    assert keys.create("production-agent").key.reveal() == SECRET
    assert [key.id for key in keys.list()] == [42]
    assert keys.delete(42) is None
    assert [seen.method for seen in server.requests] == ["POST", "GET", "DELETE"]


def test_nothing_runs_before_the_first_call(agentity):
    """Making a client, a collection and a listing starts no thread."""
    before = threading.active_count()
    agentity("http://127.0.0.1:9").api_keys.list()
    assert threading.active_count() == before


def test_fifty_threads_share_one_client(wire, agentity):
    """Each gets its own answer, in one thread of the client's."""

    def created(seen: Seen):
        return answer(201, {**NEW_KEY, "nickname": seen.json["nickname"]})

    server = wire(created)
    client = agentity(server.url)
    together = threading.Barrier(50)

    def create(n: int) -> tuple[str, int]:
        together.wait()
        new = client.api_keys.create(f"agent-{n}")
        return new.nickname, [t.name for t in threading.enumerate()].count("agentkeys")

    with ThreadPoolExecutor(50) as pool:
        made = list(pool.map(create, range(50)))
    assert [nickname for nickname, _ in made] == [f"agent-{n}" for n in range(50)]
    assert {count for _, count in made} == {1}


def test_threads_that_wait_for_a_login_share_it(wire, agentity):
    """Ten threads without a token: one login."""
    tokens = {"accessToken": jwt(iat=0, exp=900), "refreshToken": "r"}

    def reply(seen: Seen):
        return answer(200, tokens) if seen.target == "/auth/token" else LISTING

    server = wire(reply)
    client = agentity(server.url, PasswordLogin("me@example.com", "pw"))
    with ThreadPoolExecutor(10) as pool:
        listings = [pool.submit(client.api_keys.list().collect) for _ in range(10)]
    assert all(len(listing.result()) == 1 for listing in listings)
    assert [seen.target for seen in server.requests].count("/auth/token") == 1


def test_the_errors_are_those_of_the_async_client(wire, agentity):
    """An answer's error, a lost connection and a late answer keep their types and what they say."""
    client = agentity(wire(answer(401), hang).url)
    with pytest.raises(AuthenticationError) as refused:
        client.api_keys.list().collect()
    assert refused.value.status == 401
    with pytest.raises(DeadlineExceededError) as late:
        client.api_keys.create("x", timeout=0.05)
    assert late.value.applied == "maybe"


def test_a_refused_connection_keeps_its_type(background, agentity):
    """Nobody listens: a `TransportError` that says that nothing was sent."""

    async def url_of_nobody() -> str:
        async with Wire(hang) as wire:
            return wire.url

    client = agentity(background.run(url_of_nobody()))
    with pytest.raises(TransportError) as caught:
        client.api_keys.create("x")
    assert caught.value.applied == "no"


def test_bad_arguments_are_refused_as_by_the_async_client(wire, agentity):
    """With a sentence, and before anything is sent; a wrong keyword is a TypeError."""
    server = wire(LISTING)
    client = agentity(server.url)
    with pytest.raises(InvalidArgumentError):
        client.api_keys.create("")
    with pytest.raises(InvalidArgumentError):
        client.api_keys.list(timeout=0)
    with pytest.raises(TypeError):
        client.api_keys.create(nick="x")
    assert server.requests == []


def test_the_coroutines_own_timeout_is_raised():
    """A TimeoutError that a coroutine raises is no end of the waiting for it."""
    portal = Portal()

    async def late() -> None:
        raise TimeoutError("mine")

    try:
        with pytest.raises(TimeoutError, match="mine"):
            portal.run(late)
    finally:
        portal.close()


def test_context_variables_arrive(wire, agentity):
    """What the caller's context holds is seen by what runs for the call: a renewal's callback."""
    request = contextvars.ContextVar("request", default="none")
    seen = []
    tokens = {"accessToken": jwt("2"), "refreshToken": "r2"}
    server = wire(answer(401), answer(200, tokens), LISTING)
    pair = TokenPair(jwt("1"), "r1", on_renewal=lambda _: seen.append(request.get()))
    request.set("mine")
    agentity(server.url, pair).api_keys.list().collect()
    assert seen == ["mine"]


def test_it_works_inside_a_running_loop(wire, agentity):
    """As in a notebook: the caller's loop waits, and the client's own runs."""
    client = agentity(wire(LISTING).url)

    async def cell() -> list[int]:
        return [key.id for key in client.api_keys.list()]

    assert asyncio.run(cell()) == [42]


def test_from_its_own_loop_it_is_refused_at_once(wire, agentity):
    """There it would wait for itself: an error instead, and the call that led there ends."""
    tokens = {"accessToken": jwt("2"), "refreshToken": "r2"}
    server = wire(answer(401), answer(200, tokens), LISTING)

    def call_again(_: object) -> None:
        client.api_keys.list().collect()

    client = agentity(server.url, TokenPair(jwt("1"), "r1", on_renewal=call_again))
    with pytest.raises(ConfigurationError, match="its own event loop"):
        client.api_keys.list().collect()


def test_one_client_can_be_used_on_the_loop_of_another(wire, agentity):
    """Only its own loop is refused: a callback may use another client."""
    other = agentity(wire(answer(201, NEW_KEY)).url)
    tokens = {"accessToken": jwt("2"), "refreshToken": "r2"}
    server = wire(answer(401), answer(200, tokens), LISTING)
    pair = TokenPair(jwt("1"), "r1", on_renewal=lambda _: other.api_keys.create("x"))
    assert len(agentity(server.url, pair).api_keys.list().collect()) == 1


def test_a_signal_handler_or_finalizer_may_call_while_a_client_starts(wire, agentity):
    """A call within a call's first moments, on the same thread, finds no lock closed."""
    client = agentity(wire(LISTING).url)
    portal = client._portal
    with portal._lock:
        assert len(client.api_keys.list().collect()) == 1


def test_an_error_keeps_nothing_alive():
    """A failed call leaves no cycle: what it used is gone when its error is."""

    class Mark:
        pass

    async def fail(_: Mark) -> None:
        raise LookupError

    mark = Mark()
    gone = weakref.ref(mark)
    portal = Portal()
    gc.disable()
    try:
        with pytest.raises(LookupError):
            portal.run(partial(fail, mark))
        portal.close()
        del mark
        assert gone() is None
    finally:
        gc.enable()
