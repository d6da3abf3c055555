"""What is remembered of each key, so that whoever comes later can go on.

Here lives the journal: its protocol, how an entry is written down, and the files that are its
default. What an entry means, and what is done about it, lives in `machine` and `driver`.
"""

from __future__ import annotations

from agentkeys.lifecycle.journal.contract import Claimed, Journal, Owned, Remembered, Seen
from agentkeys.lifecycle.journal.files import FileJournal

__all__ = ["Claimed", "FileJournal", "Journal", "Owned", "Remembered", "Seen"]
