"""What is no collection of keys, or one of the other kind of client, is refused unsent."""

from __future__ import annotations

import asyncio

import pytest

from agentkeys import AgentityClient, InvalidArgumentError, PasswordLogin, issue, sweep, sync
from agentkeys.sync import LocalService


@pytest.fixture(scope="module")
def service():
    with LocalService() as service:
        yield service


@pytest.fixture
def blocking(service):
    login = PasswordLogin(service.email, service.password)
    with sync.AgentityClient(login, base_url=service.url) as client:
        yield client


@pytest.fixture
def waiting(service):
    login = PasswordLogin(service.email, service.password)
    return AgentityClient(login, base_url=service.url)


ASYNC = [
    pytest.param(lambda keys: issue(keys, "ci", into="memory:wrong-kind"), id="issue"),
    pytest.param(sweep, id="sweep"),
]
BLOCKING = [
    pytest.param(lambda keys: sync.issue(keys, "ci", into="memory:wrong-kind"), id="issue"),
    pytest.param(sync.sweep, id="sweep"),
]


@pytest.mark.parametrize("call", ASYNC)
def test_keys_of_a_blocking_client_cannot_be_awaited(service, state, blocking, call):
    """The sentence names the function that takes them; no key is made, which would be lost."""
    before = service.requests.count
    with pytest.raises(InvalidArgumentError, match=r"of a blocking client: .* agentkeys\.sync"):
        asyncio.run(call(blocking.api_keys))
    assert service.requests.count == before
    assert not state.exists()


@pytest.mark.parametrize("call", BLOCKING)
def test_keys_of_an_async_client_cannot_be_waited_for(service, state, waiting, call):
    """The sentence names the function that takes them."""
    with pytest.raises(InvalidArgumentError, match=r"of an async client: await agentkeys\."):
        call(waiting.api_keys)
    assert not state.exists()


@pytest.mark.parametrize("call", ASYNC)
def test_a_client_is_no_collection(state, waiting, call):
    """The sentence says what would be one."""
    with pytest.raises(InvalidArgumentError, match=r"like agentity\.api_keys, not .*ityClient"):
        asyncio.run(call(waiting))
    assert not state.exists()


@pytest.mark.parametrize("call", BLOCKING)
@pytest.mark.parametrize("which", ["client", "pager", "str"])
def test_no_other_thing_is_a_blocking_collection(state, blocking, call, which):
    """The sentence says what would be one."""
    thing = {"client": blocking, "pager": blocking.api_keys.list(), "str": "api_keys"}[which]
    kind = type(thing).__name__
    with pytest.raises(InvalidArgumentError, match=rf"like agentity\.api_keys, not {kind}$"):
        call(thing)
    assert not state.exists()
