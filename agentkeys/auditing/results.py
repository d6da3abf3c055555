"""What an audit has found, as data."""

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
    """How old a key is.

    Attributes:
        key_id: its id.
        name: its name on the service.
        created_at: when it was made; the time is aware.
        age: the seconds since then.
        used_at: when it was last used, if the service tells that and it ever was.
        place: whose key it is, in words.
        store: the address of the store that holds its secret, if the ledger knows it.
        is_leaving: whether it is replaced, and about to be deleted.
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
    """What an audit has found. It holds no secret.

    Attributes:
        findings: what is the matter, the worst first.
        ages: all keys that are listed, the oldest one first.
        policy: what was expected.
        at: when it was looked; the time is aware.
        places: whose keys these are, in words.
        unseen: what could not be looked at, a sentence each: nothing is known about that.
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
        """Return one report of several places.

        Args:
            reports: those of the places.
            policy: that of all of them.
            at: when it was looked.
            unseen: what could not be looked at, beside what they say.

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
        """Return it without what *other* has too: a tenant lists the keys of its inboxes."""
        said = {(each.rule, each.key_id) for each in other.findings if each.key_id is not None}
        ids = {each.key_id for each in other.ages}
        return attrs.evolve(
            self,
            findings=tuple(each for each in self.findings if (each.rule, each.key_id) not in said),
            ages=tuple(each for each in self.ages if each.key_id not in ids),
        )

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of that severity, and of worse ones."""
        if severity not in SEVERITIES:
            raise InvalidArgumentError(f"severity must be one of {', '.join(SEVERITIES)}")
        wanted = SEVERITIES[SEVERITIES.index(severity) :]
        return tuple(finding for finding in self.findings if finding.severity in wanted)

    def summary(self) -> str:
        """Say in a line how many keys there are, and how many findings."""
        counts = [
            _count(len([each for each in self.findings if each.severity == severity]), severity)
            for severity in reversed(SEVERITIES)
        ]
        said = f"{_count(len(self.ages), 'key')}: {', '.join(counts)}"
        more = len(self.unseen)
        return f"{said}; {_count(more, 'place')} not looked at" if more else said

    def bar(self, age: Age, full: str = "█", empty: str = "·") -> str:
        """Return a key's age as a bar of text, against the limit or else the oldest key."""
        scale = self.policy.max_age or max((each.age for each in self.ages), default=0.0)
        share = min(max(age.age / scale, 0.0), 1.0) if scale else 1.0
        filled = round(share * _BAR)
        return f"{full * filled}{empty * (_BAR - filled)} {span(max(age.age, 0.0))}"

    def in_other_words(self, shown: Callable[[str], str]) -> Self:
        """Return it with every text that may come from elsewhere as *shown* gives it."""

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
