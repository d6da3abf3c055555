"""Check keys: compare the listing, the journal and the stores, and change nothing.

The rules are pure. The data that they compare is fetched in one place. A report is data, and can be
shown as a page, a picture, SARIF or a table.
"""

from __future__ import annotations

from agentkeys.auditing.findings import Finding
from agentkeys.auditing.gathering import audit
from agentkeys.auditing.policy import Policy
from agentkeys.auditing.report import Report
from agentkeys.auditing.results import Age

__all__ = ["Age", "Finding", "Policy", "Report", "audit"]
