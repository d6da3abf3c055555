"""The names of the blocking local service's objects, which are in `agentkeys.sync.service`."""

from __future__ import annotations

from agentkeys.sync.service import BlockingFault, BlockingFaults, BlockingRequests

__all__ = ["BlockingFault", "BlockingFaults", "BlockingRequests"]
