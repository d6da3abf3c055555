"""Stores for secrets, all with one contract.

Every store is imported when it is first used, because it may need an extra. This module also has
the tools for a store of your own: checks of its arguments, and work in threads.
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
from agentkeys.stores.contract.checks import check_expected, check_secret

if TYPE_CHECKING:
    from agentkeys.stores.aws import AwsStore
    from agentkeys.stores.command import CommandStore
    from agentkeys.stores.contract.threads import AtWork, in_thread
    from agentkeys.stores.dotenv.store import DotenvStore
    from agentkeys.stores.file import FileStore
    from agentkeys.stores.keyring import KeyringStore
    from agentkeys.stores.kubernetes import KubernetesStore
    from agentkeys.stores.memory import MemoryStore
    from agentkeys.stores.vault.store import VaultStore

__all__ = [
    "ABSENT",
    "ANY",
    "AtWork",
    "AwsStore",
    "CommandStore",
    "DotenvStore",
    "Expected",
    "FileStore",
    "Found",
    "IdentifiedStore",
    "KeyringStore",
    "KubernetesStore",
    "MemoryStore",
    "RecognizableStore",
    "Store",
    "Stored",
    "VaultStore",
    "Version",
    "VersionedStore",
    "check_expected",
    "check_secret",
    "in_thread",
    "open_store",
]

_ELSEWHERE = {
    "AtWork": "agentkeys.stores.contract.threads",
    "AwsStore": "agentkeys.stores.aws",
    "CommandStore": "agentkeys.stores.command",
    "DotenvStore": "agentkeys.stores.dotenv.store",
    "FileStore": "agentkeys.stores.file",
    "KeyringStore": "agentkeys.stores.keyring",
    "KubernetesStore": "agentkeys.stores.kubernetes",
    "MemoryStore": "agentkeys.stores.memory",
    "VaultStore": "agentkeys.stores.vault.store",
    "in_thread": "agentkeys.stores.contract.threads",
}


def __getattr__(name: str) -> object:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_ELSEWHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__]
