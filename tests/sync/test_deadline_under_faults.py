"""Law 3 under every fault, for a thread that waits: in real seconds, few of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from fault_grid import HOLDING, kinds, whens

from agentkeys import AgentKeysError, DeadlineExceededError, PasswordLogin, RetryPolicy
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
