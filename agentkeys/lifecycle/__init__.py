"""What happens to a key over its life: it is issued, and what a failure left is swept up."""

from __future__ import annotations

from agentkeys.lifecycle.issuing import Issued, issue
from agentkeys.lifecycle.sweeping import Swept, sweep

__all__ = ["Issued", "Swept", "issue", "sweep"]
