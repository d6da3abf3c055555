"""How a plan is shown: a line for each thing to do, and how many there are."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from agentkeys.cli.ground import output
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentkeys.fleet import Declared, Plan, Step
    from agentkeys.fleet.deciding import Do

__all__ = ["DONE", "counted", "fields_of", "note_plan", "place_of", "write_json", "write_plan"]

_SIGNS: Final[Mapping[Do, str]] = {
    "issue": "+",
    "rotate": "~",
    "retire": "-",
    "prune": "-",
    "adopt": "=",
    "finish": "*",
    "unclear": "?",
}
_COUNTED: Final[Mapping[Do, str]] = {
    "issue": "to issue",
    "rotate": "to rotate",
    "retire": "to retire",
    "prune": "declared no more",
    "adopt": "to adopt",
    "finish": "to finish",
    "unclear": "unclear",
    "wait": "waiting",
    "nothing": "as declared",
}
DONE: Final[Mapping[Do, str]] = {
    "issue": "issued",
    "rotate": "rotated",
    "retire": "retired",
    "prune": "pruned",
    "adopt": "adopted",
    "finish": "finished",
}
"""What is said of a step that was done."""
_MOST_SHOWN: Final = 100


def write_plan(plan: Plan) -> None:
    """Print a line for each thing to do, and for what is unclear; then how many there are."""
    for step in plan.steps():
        output.write(_line(step))
    output.note(f"{counted(plan.counts)}.")


def note_plan(plan: Plan) -> None:
    """Show the first lines on stderr, and how many there are."""
    steps = plan.steps()
    for step in islice(steps, _MOST_SHOWN):
        output.note(_line(step))
    more = sum(1 for _ in steps)
    if more:
        output.note(f"... and {more} more: see `agentkeys plan`")
    output.note(f"{counted(plan.counts)}.")


def write_json(plan: Plan) -> None:
    """Print it as one JSON document, a step a line: there may be very many."""
    output.write(f'{{"counts": {output.as_json(dict(plan.counts))}, "steps": [')
    before = None
    for step in plan.steps():
        if before is not None:
            output.write(f"{before},")
        before = output.as_json(fields_of(step))
    output.write(*([] if before is None else [before]), "]}")


def counted(counts: Mapping[Do, int]) -> str:
    """Say how many there are of each."""
    words = [f"{counts[do]} {said}" for do, said in _COUNTED.items() if counts.get(do)]
    return ", ".join(words) or "No key is declared"


def fields_of(step: Step) -> dict[str, Any]:
    """Return a step as JSON has it."""
    return {**step.to_dict(), "why": mask(step.why)}


def place_of(declared: Declared) -> str:
    """Return the place of a declared key, in words."""
    *_, surface, kind, which = declared.place
    kind = {"agentity": "account"}.get(declared.service, "tenant") if kind == "whole" else kind
    agent = " on the agent surface" if surface == "agent" else ""
    profile = f" ({declared.profile})" if declared.profile else ""
    return f"{declared.service}{profile} {kind} {which}".rstrip() + agent


def _line(step: Step) -> str:
    declared = step.declared
    why = f": {mask(step.why)}" if step.why else ""
    words = f"{_SIGNS[step.do]} {declared.name}  {place_of(declared)}  {declared.store}{why}"
    return mask(words)
