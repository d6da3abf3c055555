"""The journal: what is kept of each key, so that a later process can continue.

This folder holds the protocol, the form of an entry, and the default journal in files. The meaning
of an entry is in `machine`, and the work on it in `driving`.
"""

from __future__ import annotations

from agentkeys.lifecycle.journal.contract import (
    Claimed,
    Journal,
    LostError,
    Owned,
    Remembered,
    Seen,
)
from agentkeys.lifecycle.journal.files import FileJournal

__all__ = [
    "Claimed",
    "FileJournal",
    "Journal",
    "LostError",
    "Owned",
    "Remembered",
    "Seen",
]
