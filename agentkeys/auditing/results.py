"""The results of an audit, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Self

import attrs

from agentkeys.auditing.findings import SEVERITIES, Finding, Severity, span
from agentkeys.auditing.policy import Policy
from agentkeys.errors import InvalidArgumentError
from agentkeys.lifecycle.machine.states import KeyId

__all__ = ["Age", "Results"]

_BAR = 20


@attrs.frozen(kw_only=True)
class Age:
    """The age of a key.

    Attributes:
        key_id: its id.
        name: its name on the service.
        created_at: when it was created; the time is aware.
        age: the seconds since then.
        used_at: when it was last used; None if it never was, or the service does not report uses.
        place: the place that it belongs to, in words.
        store: the address of the store that holds its secret, if the ledger has it.
        is_leaving: whether it was replaced and will be deleted.
    """

    key_id: KeyId
    name: str
    created_at: datetime
    age: float
    used_at: datetime | None = None
    place: str = ""
    store: str = ""
    is_leaving: bool = False


@attrs.frozen
class Results:
    """The result of an audit. It holds no secret.

    Attributes:
        findings: the findings, the worst first.
        ages: all listed keys, the oldest first.
        policy: the policy of the audit.
        at: the time of the audit; the time is aware.
        places: the places whose keys were audited, in words.
        unseen: what could not be checked, one sentence each: nothing is known about it.
    """

    findings: tuple[Finding, ...]
    ages: tuple[Age, ...]
    policy: Policy
    at: datetime
    places: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    @classmethod
    def joined(
        cls, reports: Iterable[Self], policy: Policy, at: datetime, unseen: Iterable[str] = ()
    ) -> Self:
        """Return one report for several places.

        Args:
            reports: the reports of the places.
            policy: the policy of all of them.
            at: the time of the audit.
            unseen: what could not be checked, besides what the reports say.
        """
        reports = tuple(reports)
        findings = dict.fromkeys(finding for each in reports for finding in each.findings)
        return cls(
            tuple(sorted(findings, key=_how_mild)),
            _oldest_first(age for each in reports for age in each.ages),
            policy,
            at,
            tuple(dict.fromkeys(place for each in reports for place in each.places)),
            (*(sentence for each in reports for sentence in each.unseen), *unseen),
        )

    def without(self, other: Self) -> Self:
        """Return the report without the content of *other*: a tenant lists its inboxes' keys."""
        said = {(each.rule, each.key_id) for each in other.findings if each.key_id is not None}
        ids = {each.key_id for each in other.ages}
        return attrs.evolve(
            self,
            findings=tuple(each for each in self.findings if (each.rule, each.key_id) not in said),
            ages=tuple(each for each in self.ages if each.key_id not in ids),
        )

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of this severity and worse."""
        if severity not in SEVERITIES:
            raise InvalidArgumentError(f"severity must be one of {', '.join(SEVERITIES)}")
        wanted = SEVERITIES[SEVERITIES.index(severity) :]
        return tuple(finding for finding in self.findings if finding.severity in wanted)

    def summary(self) -> str:
        """Return one line with the numbers of keys and findings."""
        counts = [
            _count(len([each for each in self.findings if each.severity == severity]), severity)
            for severity in reversed(SEVERITIES)
        ]
        said = f"{_count(len(self.ages), 'key')}: {', '.join(counts)}"
        more = len(self.unseen)
        return f"{said}; {_count(more, 'place')} not checked" if more else said

    def bar(self, age: Age, full: str = "█", empty: str = "·") -> str:
        """Return a key's age as a bar of text, relative to the limit or else to the oldest key."""
        scale = self.policy.max_age or max((each.age for each in self.ages), default=0.0)
        share = min(max(age.age / scale, 0.0), 1.0) if scale else 1.0
        filled = round(share * _BAR)
        return f"{full * filled}{empty * (_BAR - filled)} {span(max(age.age, 0.0))}"

    def in_other_words(self, shown: Callable[[str], str]) -> Self:
        """Return the report with *shown* applied to every text from outside."""

        def evolved(record: Any, *but: str) -> Any:
            texts = {
                field.name: shown(value)
                for field in attrs.fields(type(record))
                if field.name not in but and isinstance(value := getattr(record, field.name), str)
            }
            return attrs.evolve(record, **texts)

        return attrs.evolve(
            self,
            findings=tuple(evolved(each, "rule", "severity") for each in self.findings),
            ages=tuple(map(evolved, self.ages)),
            places=tuple(map(shown, self.places)),
            unseen=tuple(map(shown, self.unseen)),
        )


def _how_mild(finding: Finding) -> int:
    return -SEVERITIES.index(finding.severity)


def _oldest_first(ages: Iterable[Age]) -> tuple[Age, ...]:
    return tuple(sorted(dict.fromkeys(ages), key=lambda each: each.created_at))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
