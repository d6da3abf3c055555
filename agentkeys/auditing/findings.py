"""Findings and rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias

import attrs

from agentkeys.auditing.facts import Facts
from agentkeys.lifecycle.machine.states import KeyId

__all__ = ["SEVERITIES", "Finding", "Rule", "Severity", "span"]

Severity: TypeAlias = Literal["note", "warning", "error"]

SEVERITIES: Final[tuple[Severity, ...]] = ("note", "warning", "error")
"""The severities, from low to high."""

_UNITS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@attrs.frozen(kw_only=True)
class Finding:
    """A finding of an audit. It holds no secret.

    Attributes:
        rule: the id of the rule, like ``AK001``. It is the same in all versions.
        severity: "error", "warning" or "note".
        sentence: the problem.
        advice: what to do about it.
        key_id: the id of the key, if the finding concerns one.
        name: the name of the key on the service, if the finding concerns one.
        place: the place of the key, in words.
        store: the address of the store that holds its secret, if it is known.
    """

    rule: str
    severity: Severity
    sentence: str
    advice: str
    key_id: KeyId | None = None
    name: str = ""
    place: str = ""
    store: str = ""

    def __str__(self) -> str:
        """Return the finding on one line."""
        which = "" if self.key_id is None else f" (id {self.key_id})"
        return f"{self.rule} {self.severity}: {self.sentence}{which}: {self.advice}"


@attrs.frozen
class Rule:
    """A rule of the audit.

    Attributes:
        id: its id, which is never reused.
        name: its name in SARIF.
        severity: its usual severity.
        about: what it finds, as a sentence.
        find: the function that finds it.
    """

    id: str
    name: str
    severity: Severity
    about: str
    find: Callable[[Facts], Iterable[Finding]]

    def found(self, sentence: str, advice: str, **more: Any) -> Finding:
        """Return a finding of this rule."""
        known = {"severity": self.severity, **more}
        return Finding(rule=self.id, sentence=sentence, advice=advice, **known)


def span(seconds: float) -> str:
    """Return a duration in words, rounded down: ``91 days``."""
    for unit, size in _UNITS:
        count = int(seconds // size)
        # "47 hours" is more exact than "1 day".
        if count >= 2:
            return f"{count} {unit}s"
    return "1 second" if seconds >= 1 else "0 seconds"
