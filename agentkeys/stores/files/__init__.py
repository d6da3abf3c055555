"""What stores in files stand on: their base, how a file is replaced, and whether git keeps it.

What a file holds is said by the store: `stores/dotenv` and `stores/file.py`.
"""

from __future__ import annotations

from agentkeys.stores.files.store import ALLOW_TRACKED, StoreInFile

__all__ = ["ALLOW_TRACKED", "StoreInFile"]
