"""What `agentkeys apply` does when it has planned: it shows the plan, asks, and carries it out."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from agentkeys.cli.fleet.planning import needed, planned, settings_of, target_of
from agentkeys.cli.fleet.plans import DONE, fields_of, note_plan, place_of
from agentkeys.cli.ground import output, programs
from agentkeys.cli.ground.codes import FOR_A_PERSON, code_of, worst
from agentkeys.cli.ground.services import run
from agentkeys.cli.keys.deleting import why
from agentkeys.fleet.applying import Applying, Failed, Limits
from agentkeys.fleet.carrying_out import Done, How
from agentkeys.fleet.deciding import TO_DO
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentkeys.cli.ground.options import Options
    from agentkeys.fleet import Plan, Step
    from agentkeys.fleet.deciding import Do
    from agentkeys.fleet.manifest.declared import Account

__all__ = ["apply", "check_can_ask", "said"]


def apply(
    options: Options,
    file: str,
    *,
    limits: Limits,
    prune: bool,
    yes: bool,
    then: tuple[str, ...] | None,
) -> None:
    """Plan, show the plan, ask, and do it.

    Args:
        options: what every command is given.
        file: the file that declares keys.
        limits: how far it goes.
        prune: also delete the keys of the ledger that are declared no more.
        yes: do not ask.
        then: the program that tells those who use a key that was replaced.

    """
    check_can_ask(yes=yes)
    how = How(then=programs.telling(then, options.timeout))
    with planned(options, file, jobs=limits.jobs, prune=prune) as plan:
        note_plan(plan)
        phases = [wanted for wanted in _PHASES if _is_wanted(plan, wanted, yes=yes)]
        _Applying(options, plan, limits, how).run(phases)


def check_can_ask(*, yes: bool) -> None:
    """Refuse to begin what asks first where nobody can be asked."""
    if not yes and not (sys.stdin is not None and sys.stdin.isatty()):
        raise click.UsageError("it asks first, and there is no terminal: add --yes")


_PHASES: tuple[tuple[Do, ...], ...] = (tuple(do for do in TO_DO if do != "prune"), ("prune",))


def _is_wanted(plan: Plan, wanted: Sequence[Do], *, yes: bool) -> bool:
    """Whether there is something of that to do, and nobody says no."""
    count = sum(plan.counts.get(do, 0) for do in wanted)
    if not count or yes:
        return bool(count)
    what = "Do this" if count == 1 else f"Do these {count}"
    if "prune" in wanted:
        what = f"Delete {'the key' if count == 1 else f'the {count} keys'} declared no more"
    return output.ask(f"{what}?")


class _Applying:
    """The work on a plan, and what is said about it."""

    def __init__(self, options: Options, plan: Plan, limits: Limits, how: How) -> None:
        self._options = options
        self._plan = plan
        self._limits = limits
        self._how = how
        self._phases: list[Applying] = []

    def run(self, phases: Sequence[Sequence[Do]]) -> None:
        """Do these phases, and end with the exit code of the worst that came of them."""
        try:
            for wanted in phases:
                if not self._failed:  # or keys would go whose successors are not there
                    self._phase(wanted)
        except (KeyboardInterrupt, SystemExit):
            self._report_interruption()
            raise
        self._show(bool(phases))
        code = worst([code_of(each.error) for each in self._failed])
        if self._left or self._plan.counts.get("unclear"):
            code = max(code, FOR_A_PERSON)
        if code:
            raise click.exceptions.Exit(code)

    @property
    def _failed(self) -> list[Failed]:
        return [each for phase in self._phases for each in phase.applied.failed]

    @property
    def _left(self) -> list[Step]:
        left = [each for phase in self._phases for each in phase.applied.left]
        return [step for step in left if step.do == "unclear"]

    @property
    def _done(self) -> dict[Do, int]:
        return {do: count for phase in self._phases for do, count in phase.applied.done.items()}

    def _phase(self, wanted: Sequence[Do]) -> None:
        settings = settings_of(self._options, jobs=self._limits.jobs)
        applying = Applying(self._plan, self._limits, self._how, settings=settings, wanted=wanted)
        self._phases.append(applying)

        async def work(account: Account, client: Any) -> None:
            may_show = not self._options.verbose
            with output.progress(applying.left, may_show=may_show) as step:
                await applying.run(
                    client, account, tell=lambda each: step(partial(self._say, each))
                )

        for account, own in needed(self._options, self._plan.accounts):
            run(own, target_of(account), partial(work, account))

    def _say(self, each: Done | Failed) -> None:
        """Say what became of one key."""
        declared = each.step.declared
        if isinstance(each, Failed):
            sentence = f"{declared.name} of {place_of(declared)}: {each.error}"
            output.report(mask(sentence), in_json=self._options.json, error=each.error)
        elif each.step.do == "unclear":
            output.report(
                mask(f"{declared.name} of {place_of(declared)}: {each.step.why}"),
                in_json=self._options.json,
            )
        elif each.step.do in DONE and not self._options.json:
            key_id = each.deleted[0] if each.step.do == "prune" and each.deleted else each.key_id
            _print(f"{DONE[each.step.do]} {declared.name} {'' if key_id is None else key_id}")

    def _show(self, is_begun: bool) -> None:
        """Say how many there were of each."""
        failed, not_begun = self._failed, sum(each.applied.not_begun for each in self._phases)
        if self._options.json:
            failures = [{**fields_of(each.step), "error": mask(str(each.error))} for each in failed]
            left = [*map(fields_of, self._left)]
            fields = {"done": self._done, "failed": failures, "unclear": left}
            output.write(output.as_json({**fields, "not_begun": not_begun}))
        if not is_begun:
            waiting = sum(self._plan.counts.get(do, 0) for do in TO_DO)
            output.note("Nothing was changed." if waiting else "There is nothing to do.")
            return
        output.note(f"Done: {said(self._done)}.")
        if failed:
            errors = [each.error for each in failed]
            output.note(f"{len(failed)} failed: {why(errors)}.")
        if not_begun:
            output.note(f"{not_begun} were not begun: run the command again to go on.")

    def _report_interruption(self) -> None:
        done = sum(self._done.values())
        whole = sum(each.whole for each in self._phases)
        output.report(
            f"interrupted: {done} of {whole} were done: run the command again to go on",
            in_json=self._options.json,
        )


def said(done: dict[Do, int]) -> str:
    """Return how many steps of each kind were done, in words."""
    return ", ".join(f"{count} {DONE[do]}" for do, count in done.items()) or "nothing"


def _print(line: str) -> None:
    try:
        output.write(line.rstrip())
    except (output.OutputError, OSError):
        # The other keys are to be made all the same.
        output.abandon()
        output.note(line)
