"""Whether git keeps a file, or is about to, and so would keep what is written into it for ever.

Git itself is not asked: it obeys the settings of the folder that it looks at, and these can name
programs that it runs. Its files are read as data here.
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
