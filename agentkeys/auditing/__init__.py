"""Whether keys are looked after: listing, journal and stores are compared, and nothing is driven.

The rules are pure. What they compare is fetched at one edge; a report is data, which shows itself
as a page, a picture, SARIF or a table.
"""

from __future__ import annotations

from agentkeys.auditing.findings import Finding
from agentkeys.auditing.gathering import audit
from agentkeys.auditing.policy import Policy
from agentkeys.auditing.report import Report
from agentkeys.auditing.results import Age

__all__ = ["Age", "Finding", "Policy", "Report", "audit"]
