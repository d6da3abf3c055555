"""Where a secret is kept: stores, all of one contract.

Every store is imported when it is first used, for it may need what is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkeys.stores.addresses import open_store
from agentkeys.stores.contract import (
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

if TYPE_CHECKING:
    from agentkeys.stores.command import CommandStore
    from agentkeys.stores.dotenv.store import DotenvStore
    from agentkeys.stores.file import FileStore
    from agentkeys.stores.keyring import KeyringStore
    from agentkeys.stores.memory import MemoryStore

__all__ = [
    "ABSENT",
    "ANY",
    "CommandStore",
    "DotenvStore",
    "Expected",
    "FileStore",
    "Found",
    "IdentifiedStore",
    "KeyringStore",
    "MemoryStore",
    "RecognizableStore",
    "Store",
    "Stored",
    "Version",
    "VersionedStore",
    "open_store",
]

_ELSEWHERE = {
    "CommandStore": "agentkeys.stores.command",
    "DotenvStore": "agentkeys.stores.dotenv.store",
    "FileStore": "agentkeys.stores.file",
    "KeyringStore": "agentkeys.stores.keyring",
    "MemoryStore": "agentkeys.stores.memory",
}


def __getattr__(name: str) -> object:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_ELSEWHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
