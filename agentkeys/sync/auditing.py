"""The blocking twin of `audit`; `agentkeys.sync` imports it when it is used."""

from __future__ import annotations

from agentkeys import auditing
from agentkeys.sync.lifecycle import _blocking

__all__ = ["audit"]

audit = _blocking(auditing.audit)
