"""A store that is one entry of a dotenv file. It needs the extra ``issue``.

Here live the store, and how the text of its file is edited. What it shares with other stores in
files is in `stores/files`.
"""

from __future__ import annotations

from agentkeys.stores.dotenv.store import DotenvStore

__all__ = ["DotenvStore"]
