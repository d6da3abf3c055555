"""An application beside the local service: its credentials come from the environment."""

from __future__ import annotations

import asyncio

from agentkeys import AgentityClient, AgentryClient


async def main() -> None:
    """Make a key on each service, list the keys, and delete the new ones."""
    # Within the network of the containers; elsewhere a secret goes over TLS alone.
    async with (
        AgentityClient(allow_http=True) as agentity,
        AgentryClient(allow_http=True) as agentry,
    ):
        inbox = agentry.inbox("support@acme.to").api_keys
        made, other = await agentity.api_keys.create("from-a-container"), await inbox.create("ci")
        print("Agentity:", [key.nickname async for key in agentity.api_keys.list()])
        print("Agentry:", [key.name async for key in inbox.list()])
        await agentity.api_keys.delete(made.id)
        await inbox.delete(other.id)


asyncio.run(main())
