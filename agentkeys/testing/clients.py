"""Clients of a test's local service, and how a fixture that is not async closes an async one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

from agentkeys import AgentityClient, AgentryClient, PasswordLogin, sync
from agentkeys.sync.portal import Portal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.sync import LocalService
    from agentkeys.transport.client import Client

__all__ = ["agentity", "agentity_sync", "agentry", "agentry_sync"]

ClientT = TypeVar("ClientT", bound="Client")


def agentity(service: LocalService) -> contextlib.AbstractContextManager[AgentityClient]:
    """Give an async client of Agentity, and close it in the end."""
    login = PasswordLogin(service.email, service.password)
    return _closing(AgentityClient(login, base_url=service.url))


def agentry(service: LocalService) -> contextlib.AbstractContextManager[AgentryClient]:
    """Give an async client of Agentry, and close it in the end."""
    return _closing(AgentryClient(service.agentry_token, base_url=service.url))


def agentity_sync(service: LocalService) -> sync.AgentityClient:
    """Return a blocking client of Agentity."""
    login = PasswordLogin(service.email, service.password)
    return sync.AgentityClient(login, base_url=service.url)


def agentry_sync(service: LocalService) -> sync.AgentryClient:
    """Return a blocking client of Agentry."""
    return sync.AgentryClient(service.agentry_token, base_url=service.url)


@contextlib.contextmanager
def _closing(client: ClientT) -> Iterator[ClientT]:
    try:
        yield client
    finally:
        _close(client)


def _close(client: Client) -> None:
    """Close *client* from outside of the test's event loop.

    A plugin's loop for several tests rests now and goes on later: what the client has open there is
    closed there and now. What it has in loops that run elsewhere is closed from a loop of our own.
    """
    for loop in client._session.loops():  # noqa: SLF001  # of no use to others
        if not (loop.is_closed() or loop.is_running()):
            loop.run_until_complete(client.close())
    portal = Portal()
    try:
        portal.run(client.close)
    finally:
        portal.close()
