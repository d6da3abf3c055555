"""Keys as declared: a file says which keys there shall be, and this makes it so.

Here live the file, the pure decision about one key, the planner, and what carries a step out. How
one key is issued, replaced or deleted safely is the lifecycle's.
"""

from __future__ import annotations

from agentkeys.fleet.applying import Applied, Failed, apply
from agentkeys.fleet.carrying_out import Done, How, carry_out, reconcile
from agentkeys.fleet.deciding import Step
from agentkeys.fleet.manifest.declared import Declared
from agentkeys.fleet.planning import Plan, plan

__all__ = [
    "Applied",
    "Declared",
    "Done",
    "Failed",
    "How",
    "Plan",
    "Step",
    "apply",
    "carry_out",
    "plan",
    "reconcile",
]
