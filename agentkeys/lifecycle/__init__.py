"""The life of a key: issue it, replace it, and look after it until it is deleted.

This folder holds the functions for callers, the states of a key, the machine that decides, and its
driver. `journal` keeps the entries. Requests are in `transport`, and stores in `stores`.
"""

from __future__ import annotations

from agentkeys.lifecycle.aborting import abort
from agentkeys.lifecycle.driving.callbacks import Announcement
from agentkeys.lifecycle.issuing import issue
from agentkeys.lifecycle.leasing import Lease, lease
from agentkeys.lifecycle.outcomes.results import Issued, Known, Rotated, Status, Swept
from agentkeys.lifecycle.rotating import rotate
from agentkeys.lifecycle.sweeping import sweep
from agentkeys.lifecycle.upkeep import adopt, announced, status

__all__ = [
    "Announcement",
    "Issued",
    "Known",
    "Lease",
    "Rotated",
    "Status",
    "Swept",
    "abort",
    "adopt",
    "announced",
    "issue",
    "lease",
    "rotate",
    "status",
    "sweep",
]
