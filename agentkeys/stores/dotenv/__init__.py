"""A store in one entry of a dotenv file. It needs the extra ``issue``.

This folder holds the store, and the editing of the file's text. The code that it shares with other
stores in files is in `stores/files`.
"""

from __future__ import annotations

from agentkeys.stores.dotenv.store import DotenvStore

__all__ = ["DotenvStore"]
