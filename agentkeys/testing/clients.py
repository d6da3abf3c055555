"""Clients of a test's local service; a fixture that is not async can close an async client."""

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
    """Return an async client of Agentity as a context manager that closes it."""
    login = PasswordLogin(service.email, service.password)
    return _closing(AgentityClient(login, base_url=service.url))


def agentry(service: LocalService) -> contextlib.AbstractContextManager[AgentryClient]:
    """Return an async client of Agentry as a context manager that closes it."""
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

    A plugin's loop for several tests is paused now and continues later: the client's connections in
    it are closed there and now. Connections in loops that run elsewhere are closed from our own
    loop.
    """
    for loop in client._session.loops():  # noqa: SLF001  # of no use to others
        if not (loop.is_closed() or loop.is_running()):
            loop.run_until_complete(client.close())
    portal = Portal()
    try:
        portal.run(client.close)
    finally:
        portal.close()
