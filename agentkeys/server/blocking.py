"""The names of what a blocking local service gives, which stand in `agentkeys.sync.service`."""

from __future__ import annotations

from agentkeys.sync.service import BlockingFault, BlockingFaults, BlockingRequests

__all__ = ["BlockingFault", "BlockingFaults", "BlockingRequests"]
