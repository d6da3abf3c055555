"""What every store does, and what helps to do it: checks, and work in threads.

Here lives nothing of any one store.
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
