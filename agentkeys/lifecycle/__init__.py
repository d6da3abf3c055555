"""What happens to a key over its life: it is issued, and what a failure left is swept up.

Here live the states of a key, the machine that decides, its driver, and the ways in. What is
remembered lies in `journal`; how a call travels and where a secret is kept is none of it.
"""

from __future__ import annotations

from agentkeys.lifecycle.issuing import issue
from agentkeys.lifecycle.outcomes import Issued, Swept
from agentkeys.lifecycle.sweeping import sweep

__all__ = ["Issued", "Swept", "issue", "sweep"]
