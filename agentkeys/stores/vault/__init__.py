"""A store in a field of a secret in HashiCorp Vault or OpenBao. It needs the extra ``vault``."""

from __future__ import annotations

from agentkeys.stores.vault.store import VaultStore

__all__ = ["VaultStore"]
