"""``agentkeys audit``: check keys, place by place."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from agentkeys.cli.ground import output
from agentkeys.cli.ground.codes import FAILED, FINDINGS
from agentkeys.cli.ground.interruption import run_interruptibly
from agentkeys.cli.ground.options import common, duration
from agentkeys.cli.ground.services import Target, run
from agentkeys.cli.keys import verbs
from agentkeys.cli.keys.known import HOW, SERVICES
from agentkeys.errors import AgentKeysError
from agentkeys.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from agentkeys.auditing import Age, Policy, Report
    from agentkeys.auditing.findings import Severity
    from agentkeys.auditing.fixing import Step
    from agentkeys.cli.ground.options import Options
    from agentkeys.cli.ground.services import Service
    from agentkeys.keys import KeyCollection, Scope
    from agentkeys.lifecycle import Known

__all__ = ["commands"]

_NAMES: Final = tuple(service.name.lower() for service in SERVICES)
_SEVERITIES: Final = ("note", "warning", "error")


@dataclass(frozen=True)
class _Wanted:
    """How a report is shown."""

    sarif: bool
    html: str | None


@click.command("audit", short_help="Find keys that are old, unused, lost or exposed.")
@click.argument("services", metavar="[SERVICE]...", type=click.Choice(_NAMES), nargs=-1)
@click.option("--max-age", metavar="AGE", type=duration, help="The largest age of a key, e.g. 90d.")
@click.option(
    "--unused-for", metavar="AGE", type=duration, help="How long a key may be unused, e.g. 30d."
)
@click.option(
    "--fail-on",
    type=click.Choice(_SEVERITIES),
    default="warning",
    show_default=True,
    help="The lowest severity that sets the exit code 5.",
)
@click.option("--sarif", is_flag=True, help="Print SARIF 2.1.0, for a CI.")
@click.option("--html", metavar="FILE", help="Write an HTML page to FILE; it loads nothing.")
@click.option("--fix", is_flag=True, help="Show what can be fixed, ask, and fix it.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@common
def commands(
    options: Options,
    services: tuple[str, ...],
    *,
    fail_on: Severity,
    sarif: bool,
    html: str | None,
    fix: bool,
    yes: bool,
    **limits: Any,
) -> None:
    """Compare the listed keys with the journal, and with the contents of the stores.

    It checks every place in the journal. With a SERVICE (agentity, agentry) it checks the places of
    that service, and all keys of your account or tenant. It changes nothing without --fix. The exit
    code is 5 if there are findings, 1 if it could not check everything, else 0. --json prints
    {"findings", "ages", "policy", "at", "places", "unseen"}.
    """
    from agentkeys.auditing import Policy

    if sum([options.json, sarif, html is not None]) > 1:
        raise click.UsageError("--json, --sarif and --html cannot be combined")
    if fix and not yes and not (sys.stdin is not None and sys.stdin.isatty()):
        raise click.UsageError("--fix asks first, but there is no terminal: add --yes")
    auditing = _Auditing(options, Policy(**limits), frozenset(services))
    report = auditing.report()
    if fix and auditing.fix(report, ask=not yes):
        report = auditing.report()
    _show(options, report, _Wanted(sarif, html))
    if report.at_least(fail_on):
        raise click.exceptions.Exit(FINDINGS)
    if report.unseen or auditing.has_failed:
        raise click.exceptions.Exit(FAILED)


class _Auditing:
    """An audit of every known place, or of one service."""

    def __init__(self, options: Options, policy: Policy, wanted: frozenset[str]) -> None:
        self._options = options
        self._policy = policy
        self._wanted = wanted
        self._reports: list[Report] = []
        self._unseen: list[str] = []
        # The service and the place for each report's place in words.
        self._places: dict[str, tuple[Service[Any], Scope]] = {}
        self.has_failed = False

    def report(self) -> Report:
        """Audit all places; a failure at one place must not stop the audit of the others."""
        from datetime import UTC, datetime

        from agentkeys.auditing import Report
        from agentkeys.lifecycle.driving import disk
        from agentkeys.lifecycle.remembering import opened

        self._reports, self._unseen = [], []
        look = partial(opened().remembered, lambda _: True)
        found = run_interruptibly(disk.in_time(look, self._options.timeout))
        scopes = {each.entry.plan.scope for each in found.entries}
        known = {service.name for service in SERVICES}
        if not self._wanted:
            others = {str(scope) for scope in scopes if scope.service not in known}
            self._unseen += [f"{each} was not checked: audit it from Python" for each in others]
        for service in SERVICES:
            self._look_at(service, [scope for scope in scopes if scope.service == service.name])
        if not self._reports:  # or each report has it
            self._unseen += found.unreadable
        unseen = [output.printable(mask(each)) for each in self._unseen]
        return Report.joined(self._reports, self._policy, datetime.now(UTC), unseen)

    def _look_at(self, service: Service[Any], scopes: Iterable[Scope]) -> None:
        is_named = service.name.lower() in self._wanted
        places = {str(scope): scope for scope in scopes}
        if not is_named and (self._wanted or not places):
            return
        target: Target[Any, Any] = Target(service, lambda client: client)
        try:
            run(self._options, target, partial(self._all_of, service, places, is_named))
        except AgentKeysError as error:
            self._unseen.append(f"{service.name} was not checked: {error}")

    async def _all_of(
        self, service: Service[Any], places: Mapping[str, Scope], is_named: bool, client: Any
    ) -> None:
        whole = verbs.scope_of(self._options, client.api_keys)
        # The tenant lists the keys of its inboxes too, so it comes last, and adds the others.
        wanted = {said: scope for said, scope in sorted(places.items()) if said != str(whole)}
        if is_named or str(whole) in places:
            wanted[str(whole)] = whole
        own: list[Report] = []
        for said, scope in wanted.items():
            report = await self._place(service, client, said, scope)
            if report is not None:
                for other in own:
                    report = report.without(other)
                own.append(report)
        self._reports += own

    async def _place(
        self, service: Service[Any], client: Any, said: str, wanted: Scope
    ) -> Report | None:
        from agentkeys import audit

        keys = self._keys(service, client, wanted)
        if keys is None:
            self._unseen.append(f"{said} was not checked: {HOW}")
            return None
        scope = verbs.scope_of(self._options, keys)
        try:
            report = await audit(keys, policy=self._policy, scope=scope)
        except AgentKeysError as error:
            self._unseen.append(f"{said} could not be checked: {error}")
            return None
        self._places[report.places[0]] = service, wanted
        return report

    def _keys(
        self, service: Service[Any], client: Any, wanted: Scope
    ) -> KeyCollection[Any, Any, Any] | None:
        """Return the keys of a place; None if this client sees those of another place."""
        keys = service.keys_at(client, wanted)
        is_there = keys is not None and verbs.scope_of(self._options, keys).is_at(wanted)
        return keys if is_there else None

    def fix(self, report: Report, *, ask: bool) -> bool:
        """Show what can be fixed, and fix it; return whether a fix was tried."""
        from agentkeys.auditing.fixing import planned

        steps = planned(report)
        if not steps:
            output.note("Nothing can be fixed without your decision.")
            return False
        self._each(steps, self._rehearse)
        if ask and not output.ask(f"Do {'this' if len(steps) == 1 else f'these {len(steps)}'}?"):
            output.note("Nothing was changed.")
            return False
        self._each(steps, self._carry_out)
        return True

    def _each(self, steps: Iterable[Step], work: Any) -> None:
        """Run *work* for each step, with a client of its service."""
        steps = tuple(steps)
        for service in SERVICES:
            own = [step for step in steps if self._places[step.place][0] is service]
            target: Target[Any, Any] = Target(service, lambda client: client)
            if own:
                run(self._options, target, partial(self._steps, service, own, work))

    async def _steps(
        self, service: Service[Any], steps: Iterable[Step], work: Any, client: Any
    ) -> None:
        for step in steps:
            keys = self._keys(service, client, self._places[step.place][1])
            try:
                await work(step, keys, verbs.scope_of(self._options, _there(keys)))
            except AgentKeysError as error:
                self.has_failed = True
                sentence = f"{_words(step)} failed: {error}"
                output.report(sentence, in_json=self._options.json, error=error)

    async def _rehearse(self, step: Step, keys: Any, scope: Scope) -> None:
        from agentkeys import sweep

        output.note(f"{_words(step)} ({', '.join(step.why)})")
        if step.do == "sweep":
            swept = await sweep(keys, scope=scope, dry_run=True)
            for key_id in (*swept.deleted, *swept.retired):
                output.note(f"  would delete the key {key_id}")
            for sentence in swept.unresolved:
                output.note(f"  leaves to you: {sentence}")

    async def _carry_out(self, step: Step, keys: Any, scope: Scope) -> None:
        from agentkeys import rotate, status, sweep

        match step.do:
            case "sweep":
                swept = await sweep(keys, scope=scope)
                for key_id in (*swept.deleted, *swept.retired):
                    output.note(f"deleted {key_id}")
            case "delete":
                await _check_who_signs_in(keys, step)
                await keys.delete(step.key_id)
                output.note(f"deleted {step.key_id}")
            case "rotate":
                kept = (await status(keys, scope=scope)).kept
                known = next((each for each in kept if each.key_id == step.key_id), None)
                if known is None:
                    raise AgentKeysError("the ledger no longer has the key")
                await self._check_decision(known, keys, scope)
                rotated = await rotate(keys, known.name, into=known.store, scope=scope)
                output.note(
                    f"The key {rotated.key.name!r} is in {rotated.store}, and has replaced"
                    f" {step.key_id}, which retires at {rotated.retires_at:%Y-%m-%d %H:%M} UTC."
                )

    async def _check_decision(self, known: Known, keys: Any, scope: Scope) -> None:
        """See that the key is to be replaced still, as `plan` would decide it."""
        from agentkeys.fleet import Declared
        from agentkeys.fleet.carrying_out import decided

        max_age = self._policy.max_age
        declared = Declared(scope.service.lower(), known.name, known.store, max_age=max_age)
        step = await decided(declared, keys, seconds=keys.timeout, scope=scope)
        if step.do != "rotate":
            raise AgentKeysError(step.why or "it is not too old any more")


async def _check_who_signs_in(keys: Any, step: Step) -> None:
    """Check that the command does not lock its user out."""
    key = next((each for each in await keys.list().collect() if each.id == step.key_id), None)
    # Not before the listing: a token in a store is not known until it is needed.
    token = keys._credentials.current()  # noqa: SLF001  # no part of the surface
    prefix = getattr(
        key, "prefix", ""
    )  # without a prefix it is not known, and no such key is a token
    if token is not None and prefix and keys._may_be(key, token):  # noqa: SLF001
        raise AgentKeysError("this command uses that key as its token")


def _there(keys: Any) -> Any:
    if keys is None:
        raise AgentKeysError(HOW)
    return keys


_DO: Final[Mapping[Literal["rotate", "sweep", "delete"], str]] = {
    "rotate": "rotate the key {name!r} of {place}, id {key_id}",
    "delete": "delete the key {name!r} of {place}, id {key_id}",
    "sweep": "sweep {place}",
}


def _words(step: Step) -> str:
    return _DO[step.do].format(name=step.name, place=step.place, key_id=step.key_id)


@dataclass(frozen=True)
class _Row:
    """A key in the table of ages."""

    key_id: object
    name: str
    age: str
    used_at: datetime | None
    store: str


_COLUMNS: Final = {"ID": "key_id", "NAME": "name", "AGE": "age", "USED": "used_at"}


def _show(options: Options, report: Report, wanted: _Wanted) -> None:
    if options.json:
        output.write(output.as_json(report.to_dict()))
    elif wanted.sarif:
        output.write(output.as_json(report.sarif(os.getcwd())))  # noqa: PTH109
    elif wanted.html is not None:
        _write(wanted.html, report.html())
    else:
        if report.ages:
            rows = [_row(report, age) for age in report.ages]
            output.print_table(rows, _COLUMNS | {"STORE": "store"})
        if report.findings:
            output.write(*map(str, report.findings))
    for sentence in report.unseen:
        output.report(sentence, in_json=options.json)
    output.note(f"{report.summary()}.")


def _row(report: Report, age: Age) -> _Row:
    from agentkeys.auditing.findings import span

    words = report.bar(age) if output.draws("█·") else span(max(age.age, 0.0))
    words += ", retiring" if age.is_leaving else ""
    return _Row(age.key_id, age.name, words, age.used_at, age.store)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    raise click.ClickException(f"cannot write {path}: {reason}")
