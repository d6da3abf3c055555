"""The base of stores in files: how a file is replaced, and whether git tracks it.

The content of a file is up to the stores: `stores/dotenv` and `stores/file.py`.
"""

from __future__ import annotations

from agentkeys.stores.files.store import ALLOW_TRACKED, StoreInFile

__all__ = ["ALLOW_TRACKED", "StoreInFile"]
