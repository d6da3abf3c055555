"""`apply`: carries out a plan, several keys at once. What fails does not hold the others up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from agentkeys import arguments
from agentkeys.concurrency import run_each
from agentkeys.errors import AgentKeysError
from agentkeys.fleet.carrying_out import Done, How, carry_out, decided
from agentkeys.fleet.deciding import TO_DO, Do, Step
from agentkeys.fleet.manifest.declared import Account
from agentkeys.fleet.places import account_of, keys_at
from agentkeys.fleet.planning import JOBS, Plan, Settings, checked
from agentkeys.lifecycle.driving.callbacks import Then, Verify
from agentkeys.records import Record
from agentkeys.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agentkeys.keys import KeyCollection

__all__ = ["Applied", "Applying", "Failed", "Limits", "apply"]


@attrs.frozen
class Failed(Record):
    """A step that was not done, or not wholly.

    Attributes:
        step: the step.
        error: why.
    """

    step: Step
    error: AgentKeysError


@attrs.frozen
class Applied(Record):
    """What became of a plan.

    Attributes:
        done: how many steps of each kind were done.
        failed: those that failed.
        left: those that need a decision of yours, or that another process works on.
        not_begun: how many were not begun, because too many had failed.
    """

    done: Mapping[Do, int]
    failed: tuple[Failed, ...] = ()
    left: tuple[Step, ...] = ()
    not_begun: int = 0


@attrs.frozen
class Limits:
    """How far it goes.

    Attributes:
        jobs: how many keys are worked on at once.
        max_failures: after how many failures nothing more is begun; None for no limit.
        canary: how many keys are done and checked before the others; 0 for none.
    """

    jobs: int = JOBS
    max_failures: int | None = None
    canary: int = 0


async def apply(
    plan: Plan,
    *clients: Client,
    jobs: int = JOBS,
    max_failures: int | None = None,
    canary: int = 0,
    timeout: float | None = None,
    verify: Verify | None = None,
    then: Then | None = None,
) -> Applied:
    """Do what a plan says. A second plan has what is left, however the first one ended.

    Args:
        plan: what `plan` has returned.
        *clients: the clients with which it was made.
        jobs: how many keys are worked on at once.
        max_failures: after so many failures nothing more is begun; None for no limit.
        canary: do so many first, and go on only if all of them are then as declared.
        timeout: seconds for each key; the client's own if None.
        verify: tries the new secret of a key that replaces another one, as for `rotate`.
        then: tells those who use a key that was replaced, as for `rotate`.

    Raises:
        ConfigurationError: a client is missing.
        InvalidArgumentError: nothing was sent.

    """
    limits = Limits(
        arguments.whole_number("jobs", jobs, at_least=1),
        None
        if max_failures is None
        else arguments.whole_number("max_failures", max_failures, at_least=1),
        arguments.whole_number("canary", canary, at_least=0),
    )
    how = How(None if timeout is None else arguments.timeout(timeout), verify, then)
    applying = Applying(plan, limits, how)
    for client in checked(plan, clients):
        await applying.run(client, account_of(client))
    return applying.applied


class Applying:
    """The work on one plan; it knows at any time how far it has come.

    Args:
        plan: the plan.
        limits: how far it goes.
        how: how each step is carried out.
        settings: whose keys those of a collection are.
        wanted: what is done of the plan.

    Attributes:
        whole: how many steps there are.

    """

    def __init__(
        self,
        plan: Plan,
        limits: Limits,
        how: How,
        *,
        settings: Settings | None = None,
        wanted: Iterable[Do] = TO_DO,
    ) -> None:
        self._plan = plan
        self._limits = limits
        self._how = how
        self._settings = settings or Settings()
        self._wanted = tuple(wanted)
        self._tell: Callable[[Done | Failed], object] = _ignore
        self._canaries = limits.canary
        self._done: Counter[Do] = Counter()
        self._failed: list[Failed] = []
        self._left: list[Step] = []
        self._begun = 0
        self.whole = sum(plan.counts.get(do, 0) for do in self._wanted)

    @property
    def left(self) -> int:
        """How many steps are not begun."""
        return self.whole - self._begun

    @property
    def applied(self) -> Applied:
        """What became of the plan so far."""
        failed, left = tuple(self._failed), tuple(self._left)
        return Applied(dict(self._done), failed, left, self.left)

    @property
    def _is_stopped(self) -> bool:
        most = self._limits.max_failures
        return most is not None and len(self._failed) >= most

    async def run(
        self,
        client: Client,
        account: Account,
        *,
        tell: Callable[[Done | Failed], object] | None = None,
    ) -> None:
        """Do what is to be done for an account.

        Args:
            client: a client that sees its keys.
            account: the account.
            tell: is called with each step that was done, and with each that failed.

        """
        self._tell = tell or _ignore
        steps = self._plan.steps(*self._wanted, account=account)
        canaries = [*islice(steps, self._canaries)]
        self._canaries -= len(canaries)
        await self._all(client, canaries)
        if canaries and not self._failed:
            await self._look_again(client, canaries)
        if canaries and self._failed:
            self._limits = attrs.evolve(self._limits, max_failures=1)
        await self._all(client, steps)

    async def _all(self, client: Client, steps: Iterable[Step]) -> None:
        async def work(step: Step) -> None:
            keys = keys_at(client, step.declared)
            await self._one(step, keys)

        await run_each(self._until_stopped(steps), work, jobs=self._limits.jobs)

    def _until_stopped(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            if self._is_stopped:
                return
            self._begun += 1
            yield step

    async def _one(self, step: Step, keys: KeyCollection[Any, Any, Any]) -> None:
        try:
            done = await carry_out(step, keys, how=self._how, scope=self._settings.scope(keys))
        except AgentKeysError as error:
            failed = Failed(step, error)
            self._failed.append(failed)
            self._tell(failed)
            return
        if done.step.do in TO_DO or done.step.do == "nothing":
            self._done[done.step.do if done.step.do in TO_DO else step.do] += 1
        else:
            self._left.append(done.step)
        self._tell(done)

    async def _look_again(self, client: Client, steps: Sequence[Step]) -> None:
        """See that the first keys are as declared now."""
        for step in steps:
            if step.do == "prune":
                continue
            keys = keys_at(client, step.declared)
            scope, seconds = self._settings.scope(keys), self._how.timeout or keys.timeout
            again = await decided(step.declared, keys, seconds=seconds, scope=scope)
            if again.do not in {"nothing", "wait"}:
                why = f"it is not as declared after {step.do}: {again.do} {again.why}".rstrip()
                failed = Failed(step, AgentKeysError(why))
                self._failed.append(failed)
                self._tell(failed)


def _ignore(_: Done | Failed) -> None:
    """Tell nobody."""
