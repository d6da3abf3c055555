"""What happens to a key over its life: it is issued, replaced, and looked after until it is gone.

Here live the states of a key, the machine that decides, its driver, and the ways in. What is
remembered lies in `journal`; how a call travels and where a secret is kept is none of it.
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
