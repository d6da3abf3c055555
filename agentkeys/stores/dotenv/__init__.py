"""A store that is one entry of a dotenv file. It needs the extra ``issue``.

Here live the store, how its file is replaced and its text edited, and `git`, which says whether the
file would end up in a commit. How other stores keep a secret is none of it.
"""

from __future__ import annotations

from agentkeys.stores.dotenv.store import ALLOW_TRACKED, DotenvStore

__all__ = ["ALLOW_TRACKED", "DotenvStore"]
