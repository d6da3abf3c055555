"""The steps that would fix findings, as data; other code shows and runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs

from agentkeys.lifecycle.machine.states import KeyId

if TYPE_CHECKING:
    from agentkeys.auditing.results import Results

__all__ = ["Step", "planned"]


@attrs.frozen
class Step:
    """One step.

    Attributes:
        do: the command of the step.
        place: the place whose keys it concerns, in words.
        why: the ids of the rules that ask for it.
        key_id: the key; None for a sweep, which concerns a whole place.
        name: the name of that key.
    """

    do: Literal["rotate", "sweep", "delete"]
    place: str
    why: tuple[str, ...]
    key_id: KeyId | None = None
    name: str = ""


_SWEPT: Final = frozenset({"AK014", "AK015"})
_OLD: Final = frozenset({"AK001"})
_UNUSED: Final = frozenset({"AK003", "AK004"})
_IN_DOUBT: Final = frozenset({"AK007", "AK008", "AK009", "AK010"})
"""Rules about a store that may not hold the key's secret."""


def planned(report: Results) -> tuple[Step, ...]:
    """Return the steps that fix findings without a person's decision.

    A key that is too old is rotated if its store certainly holds it. A key that was not used for
    too long is deleted if no known store holds it. Overdue and unfinished work is swept. Everything
    else is left to a person.
    """
    of_key: dict[tuple[str, KeyId], set[str]] = {}
    of_place: dict[str, set[str]] = {}
    for each in report.findings:
        if each.rule in _SWEPT:
            of_place.setdefault(each.place, set()).add(each.rule)
        elif each.key_id is not None:
            of_key.setdefault((each.place, each.key_id), set()).add(each.rule)
    is_whole = not any(each.rule == "AK016" for each in report.findings)
    steps = [Step("sweep", place, tuple(sorted(rules))) for place, rules in of_place.items()]
    for age in report.ages:
        rules = of_key.get((age.place, age.key_id), set())
        if not age.store and rules & _UNUSED and is_whole:
            why = tuple(sorted(rules & _UNUSED))
            steps.append(Step("delete", age.place, why, age.key_id, age.name))
        elif age.store and rules & _OLD and not rules & _IN_DOUBT:
            why = tuple(sorted(rules & _OLD))
            steps.append(Step("rotate", age.place, why, age.key_id, age.name))
    return tuple(steps)
