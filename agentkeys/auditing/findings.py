"""What a rule finds, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias

import attrs

from agentkeys.auditing.facts import Facts
from agentkeys.lifecycle.machine.states import KeyId

__all__ = ["SEVERITIES", "Finding", "Rule", "Severity", "span"]

Severity: TypeAlias = Literal["note", "warning", "error"]

SEVERITIES: Final[tuple[Severity, ...]] = ("note", "warning", "error")
"""From the mildest one up."""

_UNITS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@attrs.frozen(kw_only=True)
class Finding:
    """What an audit has found. It holds no secret.

    Attributes:
        rule: the id of the rule, like ``AK001``. It stays the same from version to version.
        severity: "error", "warning" or "note".
        sentence: what is the matter.
        advice: what to do about it.
        key_id: the id of the key, if it is about one.
        name: the name of the key on the service, if it is about one.
        place: whose key it is, in words.
        store: the address of the store that holds its secret, if that is known.
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
        """Return it on one line."""
        which = "" if self.key_id is None else f" (id {self.key_id})"
        return f"{self.rule} {self.severity}: {self.sentence}{which}: {self.advice}"


@attrs.frozen
class Rule:
    """A rule of the audit.

    Attributes:
        id: its id, which is never given to another one.
        name: what it is called in SARIF.
        severity: how bad it is, as a rule.
        about: what it finds, as a sentence.
        find: finds it.
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
    """Say in words how long that is, rounded down: ``91 days``."""
    for unit, size in _UNITS:
        count = int(seconds // size)
        # "47 hours" says more than "1 day".
        if count >= 2:
            return f"{count} {unit}s"
    return "1 second" if seconds >= 1 else "0 seconds"
