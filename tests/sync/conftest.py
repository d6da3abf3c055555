"""What the tests of the blocking client share: servers in another thread, and programs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from background import PATIENCE, Background
from programs import Program
from samples import AT_ONCE, TOKEN
from wire import Wire

from agentkeys import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def background() -> Iterator[Background]:
    with Background() as background:
        yield background


@pytest.fixture
def wire(background: Background) -> Callable[..., Wire]:
    """Run a server that answers as the test says."""

    def wire(*replies: Any) -> Wire:
        return background.enter(Wire(*replies))

    return wire


@pytest.fixture
def program() -> Iterator[Callable[..., Program]]:
    """Run a program."""
    programs: list[Program] = []

    def program(code: str, *args: str) -> Program:
        programs.append(Program(code, *args))
        return programs[-1]

    yield program
    for each in programs:
        each.kill()


@pytest.fixture
def agentity() -> Iterator[Callable[..., sync.AgentityClient]]:
    """Make a client of Agentity that is closed in the end."""
    clients = []

    def agentity(url: str, credentials: Any = TOKEN, **settings: Any) -> sync.AgentityClient:
        settings = {"retry": AT_ONCE, **settings}
        clients.append(sync.AgentityClient(credentials, base_url=url, **settings))
        return clients[-1]

    yield agentity
    for client in clients:
        client.close()


@pytest.fixture
def agentry() -> Iterator[Callable[..., sync.AgentryClient]]:
    """Make a client of Agentry that is closed in the end."""
    clients = []

    def agentry(url: str, credentials: Any = TOKEN, **settings: Any) -> sync.AgentryClient:
        settings = {"retry": AT_ONCE, **settings}
        clients.append(sync.AgentryClient(credentials, base_url=url, **settings))
        return clients[-1]

    yield agentry
    for client in clients:
        client.close()


def threads() -> list[threading.Thread]:
    """Return the threads of clients that run."""
    return [thread for thread in threading.enumerate() if thread.name == "agentkeys"]


@pytest.fixture(autouse=True)
def no_thread_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every client that a test made ends its thread."""
    before = threads()
    yield
    end = time.monotonic() + PATIENCE
    for thread in set(threads()) - set(before):
        thread.join(end - time.monotonic())
    assert set(threads()) <= set(before)
