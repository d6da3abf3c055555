"""Law 3 under every fault, for a thread that waits: in real seconds, few of them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from fault_grid import HOLDING, kinds, whens
from holding import Hanging

from agentkeys import AgentKeysError, DeadlineExceededError, PasswordLogin, RetryPolicy, Secret
from agentkeys.server.faults import AGENTITY, ALL, LOGIN
from agentkeys.sync import LocalService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT = 0.2
# Seconds that a loaded machine may need to notice.
LENIENCE = 10.0
STUBBORN = RetryPolicy(tries=10**9, base=0.05, cap=0.05)


@pytest.fixture(scope="module")
def running() -> Iterator[LocalService]:
    with LocalService() as running:
        yield running


@pytest.fixture
def service(running: LocalService) -> Iterator[LocalService]:
    yield running
    running.faults.clear()


def is_in_time(call: Callable[[], object], kind: object) -> None:
    begun = time.monotonic()
    try:
        call()
    except AgentKeysError as error:
        assert kind not in HOLDING or isinstance(error, DeadlineExceededError)  # noqa: PT017  # some end well
    else:
        assert kind not in HOLDING
    assert time.monotonic() - begun < TIMEOUT + LENIENCE


@kinds
@whens
def test_a_blocking_call_ends_with_its_timeout(service, agentry, kind, when):
    """Whatever the service does, the thread goes on."""
    with agentry(service.url, service.agentry_token, timeout=TIMEOUT, retry=STUBBORN) as client:
        service.faults.add(ALL - AGENTITY, kind, when=when, times="always")
        is_in_time(lambda: client.api_keys.create("x"), kind)
        is_in_time(client.api_keys.list().first, kind)


@kinds
@whens
def test_a_login_that_hangs_ends_with_the_timeout_of_its_call(service, agentity, kind, when):
    """The thread waits for the login no longer than for its call."""
    login = PasswordLogin(service.email, service.password)
    with agentity(service.url, login, timeout=TIMEOUT, retry=STUBBORN) as client:
        service.faults.add(LOGIN, kind, when=when, times="always")
        is_in_time(client.api_keys.list().first, kind)


@pytest.mark.parametrize("in_a_loop", [False, True], ids=["script", "notebook"])
def test_a_store_that_hangs_ends_with_the_timeout_of_its_call(service, agentity, in_a_loop):
    """The thread waits for the store no longer than for its call, also while a loop runs in it."""
    store = Hanging()
    asyncio.run(store.write(Secret(service.password)))
    login = PasswordLogin(service.email, password_from=store)

    def hang() -> None:
        with pytest.raises(DeadlineExceededError):
            client.api_keys.list().first()

    async def cell() -> None:
        hang()

    with agentity(service.url, login, timeout=TIMEOUT, retry=STUBBORN) as client:
        begun = time.monotonic()
        asyncio.run(cell()) if in_a_loop else hang()
        assert time.monotonic() - begun < TIMEOUT + LENIENCE
        store.open()
        client.api_keys.list(timeout=LENIENCE).first()
