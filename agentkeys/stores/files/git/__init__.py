"""Whether git tracks a file, or may soon, and so would keep a secret in it for ever.

Git itself is not run: it obeys the settings of the repository, which can name programs to run. Its
files are read as data here.
"""

from __future__ import annotations

from agentkeys.stores.files.git.repository import (
    CouldNotLook,
    Tracked,
    Tracking,
    is_exposed,
    tracked,
)

__all__ = ["CouldNotLook", "Tracked", "Tracking", "is_exposed", "tracked"]
