"""The contract of all stores, and the tools to implement it: checks, and work in threads.

Nothing here belongs to a particular store.
"""

from __future__ import annotations

from agentkeys.stores.contract.protocol import (
    ABSENT,
    ANY,
    Expected,
    Found,
    IdentifiedStore,
    RecognizableStore,
    Store,
    Stored,
    Version,
    VersionedStore,
)

__all__ = [
    "ABSENT",
    "ANY",
    "Expected",
    "Found",
    "IdentifiedStore",
    "RecognizableStore",
    "Store",
    "Stored",
    "Version",
    "VersionedStore",
]
