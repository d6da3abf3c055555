"""Where the keys of a declared key are: the collection of a client, by the names of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from agentkeys.errors import ConfigurationError
from agentkeys.fleet.manifest.declared import Account

if TYPE_CHECKING:
    from agentkeys.agentity import AgentityClient
    from agentkeys.agentry import AgentryClient
    from agentkeys.fleet.manifest.declared import Declared
    from agentkeys.keys import KeyCollection
    from agentkeys.transport.client import Client

__all__ = ["account_of", "keys_at", "service_of"]


def service_of(client: Client) -> str:
    """Return the name of a client's service, as the file has it."""
    return client._service.name.lower()  # noqa: SLF001  # it is no part of the surface


def account_of(client: Client) -> Account:
    """Return the account of a client: its service, and the profile that it was made with."""
    return Account(service_of(client), client._profile)  # noqa: SLF001  # likewise


def keys_at(client: Client, declared: Declared) -> KeyCollection[Any, Any, Any]:
    """Return the keys of the place that a declared key belongs to; nothing is sent.

    Raises:
        ConfigurationError: the client is one of another service.

    """
    if service_of(client) != declared.service:
        raise ConfigurationError(
            f"{declared.where} declares a key of {declared.service}, and this client is one of"
            f" {service_of(client)}: pass a client of {declared.service}"
        )
    if declared.service == "agentity":
        return cast("AgentityClient", client).api_keys
    return _of_agentry(cast("AgentryClient", client), declared)


def _of_agentry(client: AgentryClient, declared: Declared) -> KeyCollection[Any, Any, Any]:
    if declared.pod is not None:
        return client.agent.pod(declared.pod).api_keys
    surface = client.agent if declared.agent else client
    if declared.inbox is not None:
        return surface.inbox(declared.inbox).api_keys
    return surface.api_keys
