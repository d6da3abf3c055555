"""A report as SARIF 2.1.0 (OASIS), which a CI shows beside the code."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from agentkeys import __version__
from agentkeys.auditing.rules import RULES

if TYPE_CHECKING:
    from agentkeys.auditing.findings import Finding, Rule
    from agentkeys.auditing.results import Results

__all__ = ["document"]

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_INDEX: Final = {rule.id: number for number, rule in enumerate(RULES)}


def document(report: Results, root: str) -> dict[str, Any]:
    """Return the document; files in *root* are named relative to it."""
    driver = {"name": "agentkeys", "version": __version__, "rules": list(map(_rule, RULES))}
    run = {
        "tool": {"driver": driver},
        "invocations": [_invocation(report)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, root) for finding in report.findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.about},
        "defaultConfiguration": {"level": rule.severity},
    }


def _invocation(report: Results) -> dict[str, Any]:
    """Report what could not be checked: such a run counts as not successful."""
    unseen = [{"level": "error", "message": {"text": each}} for each in report.unseen]
    invocation: dict[str, Any] = {
        "executionSuccessful": not unseen,
        "endTimeUtc": report.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return invocation | ({"toolExecutionNotifications": unseen} if unseen else {})


def _result(finding: Finding, root: str) -> dict[str, Any]:
    result = {
        "ruleId": finding.rule,
        "ruleIndex": _INDEX[finding.rule],
        "level": finding.severity,
        "message": {"text": f"{finding.sentence}: {finding.advice}."},
        "partialFingerprints": {"agentkeys/v1": _fingerprint(finding)},
    }
    location = _location(finding, root)
    return result | ({"locations": [location]} if location else {})


def _location(finding: Finding, root: str) -> dict[str, Any]:
    location: dict[str, Any] = {}
    path = _path(finding.store)
    if path:
        location["physicalLocation"] = {"artifactLocation": _artifact(path, root)}
    if finding.name:
        name = f"{finding.place}: {finding.name}" if finding.place else finding.name
        location["logicalLocations"] = [{"name": finding.name, "fullyQualifiedName": name}]
    return location


def _path(address: str) -> str:
    """Return the file in an address of a store, or ""."""
    kind, _, place = address.partition(":")
    if kind == "dotenv":
        return place.rpartition("#")[0]
    if kind == "file":
        path, mark, _ = place.rpartition("?")
        return path if mark else place
    return ""


def _artifact(path: str, root: str) -> dict[str, str]:
    from urllib.parse import quote

    if root and PurePath(path).is_relative_to(root):
        return {"uri": quote(PurePath(path).relative_to(root).as_posix(), safe="/")}
    return {"uri": f"file://{quote(path, safe='/')}"}


def _fingerprint(finding: Finding) -> str:
    """Return an id of a finding that is the same in the next run."""
    key = "" if finding.key_id is None else str(finding.key_id)
    parts = (finding.rule, finding.place, key, finding.name, finding.store)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
