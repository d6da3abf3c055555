"""`plan`: compares what is declared with what is there, place by place. It changes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from agentkeys import arguments
from agentkeys.auditing.facts import Unread
from agentkeys.concurrency import run_each
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.fleet import manifest
from agentkeys.fleet.around import Around
from agentkeys.fleet.carrying_out import decided_among
from agentkeys.fleet.deciding import TO_DO, Do, Step, decide_undeclared
from agentkeys.fleet.looking import held_at, listed_at
from agentkeys.fleet.manifest.declared import Account
from agentkeys.fleet.places import account_of, keys_at
from agentkeys.fleet.spool import Spool
from agentkeys.keys import KeyCollection, Scope
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.machine.states import Kept
from agentkeys.lifecycle.remembering import opened
from agentkeys.transport.client import Client

if TYPE_CHECKING:
    from agentkeys.fleet.manifest.declared import Declared
    from agentkeys.lifecycle.journal import Remembered

__all__ = ["JOBS", "Plan", "Settings", "checked", "plan", "plan_of", "read"]

JOBS: Final = 16
"""How many requests run at once by default."""


class Plan:
    """What is to be done so that the keys are as declared.

    It lies in a temporary file, however many keys there are: use it as ``with``, or `close` it.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    @property
    def counts(self) -> Mapping[Do, int]:
        """How many declared keys there are for each thing to do; see `Step`."""
        return self._spool.counts()

    @property
    def to_do(self) -> int:
        """How many things are to be done."""
        return sum(count for do, count in self.counts.items() if do in TO_DO)

    @property
    def accounts(self) -> Sequence[Account]:
        """Whose keys are declared: each is a service, and a profile if the file names one."""
        return self._spool.accounts()

    def places(self, account: Account) -> int:
        """Return in how many places of an account keys are declared."""
        return self._spool.count(account)

    def steps(self, *wanted: Do, account: Account | None = None) -> Iterator[Step]:
        """Yield the steps, one by one.

        Args:
            *wanted: only these; without any, all that is to be done or that is unclear.
            account: only those about this account.

        """
        for each in self.accounts if account is None else [account]:
            yield from self._spool.steps(each, wanted or (*TO_DO, "unclear"))

    def close(self) -> None:
        """Remove the temporary file."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {do}" for do, count in sorted(self.counts.items()))
        return f"<Plan: {counts or 'nothing is planned yet'}>"


@attrs.frozen
class Settings:
    """How it is planned.

    Attributes:
        jobs: how many requests are under way at once.
        timeout: seconds for each listing, and for each store; the client's own if None.
        prune: whether keys of the ledger are looked for that are declared no more.
        scope_of: returns whose keys those of a collection are; its `scope` if None.
        seen: is called when all about a place is known.
    """

    jobs: int = JOBS
    timeout: float | None = None
    prune: bool = False
    scope_of: Callable[[KeyCollection[Any, Any, Any]], Scope] | None = None
    seen: Callable[[], object] = lambda: None

    def scope(self, keys: KeyCollection[Any, Any, Any]) -> Scope:
        """Return whose keys those of a collection are."""
        return keys.scope if self.scope_of is None else self.scope_of(keys)


async def plan(
    file: str | os.PathLike[str],
    *clients: Client,
    jobs: int = JOBS,
    timeout: float | None = None,
    prune: bool = False,
) -> Plan:
    """Compare the keys that a file declares with what is there, and return what is to be done.

    Each place is listed once, and the store of each key is read. Nothing is changed.

    Args:
        file: the file, `agentkeys.toml`.
        *clients: a client of each service of which keys are declared; for keys with a `profile`,
            one that was made with that profile.
        jobs: how many requests are under way at once.
        timeout: seconds for each listing, and for each store; the client's own if None.
        prune: find keys of the ledger, too, that are at a place of the file and declared no more.

    Raises:
        ManifestError: the file has mistakes, and nothing was sent.
        ConfigurationError: a client is missing, or it is not known where the journal lies.
        InvalidArgumentError: nothing was sent.

    """
    settings = Settings(
        arguments.whole_number("jobs", jobs, at_least=1),
        None if timeout is None else arguments.timeout(timeout),
        prune,
    )
    made = await disk.in_thread(partial(read, file), undo=Plan.close)
    try:
        for client in checked(made, clients):
            await plan_of(made, client, account_of(client), settings)
    except BaseException:
        made.close()
        raise
    return made


def read(file: str | os.PathLike[str]) -> Plan:
    """Read a file, its rows and the journal, and return a plan without steps; it waits for disks.

    Raises:
        ManifestError: the file has mistakes.
        ConfigurationError: it is not known where the journal lies.

    """
    spool = Spool()
    try:
        spool.declare(manifest.read(file).declared())
        spool.remember(opened().each())
    except BaseException:
        spool.close()
        raise
    return Plan(spool)


def checked(made: Plan, clients: Sequence[Client]) -> Sequence[Client]:
    """Check that there is one client of each service that the plan needs, and return these."""
    for client in clients:
        if not isinstance(client, Client):
            raise InvalidArgumentError(f"clients must be clients, not {type(client).__name__}")
    by_account = {account_of(client): client for client in clients}
    if len(by_account) < len(clients):
        raise InvalidArgumentError("there are several clients of one service: pass one of each")
    missing = [account for account in made.accounts if account not in by_account]
    if missing:
        names = " and ".join(map(str, missing))
        raise ConfigurationError(f"the file declares keys of {names}: pass a client of each")
    return [by_account[account] for account in made.accounts]


async def plan_of(made: Plan, client: Client, account: Account, settings: Settings) -> None:
    """Plan what an account is to have, which a client sees."""
    await _Planning(made._spool, client, settings).run(account)  # noqa: SLF001  # of this file


class _Planning:
    """The planning of one account."""

    def __init__(self, spool: Spool, client: Client, settings: Settings) -> None:
        self._spool = spool
        self._client = client
        self._settings = settings
        # A place may have many keys: what is under way is counted over all places.
        self._turns = asyncio.Semaphore(settings.jobs)

    async def run(self, account: Account) -> None:
        """Plan place by place."""
        places = self._spool.places(account)
        await run_each(places, self._place, jobs=self._settings.jobs)

    async def _place(self, declared: list[Declared]) -> None:
        keys = keys_at(self._client, declared[0])
        seconds = keys.timeout if self._settings.timeout is None else self._settings.timeout
        scope = self._settings.scope(keys)
        ledger = self._spool.remembered(scope)  # before the listing
        async with self._turns:
            listed = await listed_at(keys, scope, seconds)
        around = Around(ledger, listed)

        async def work(each: Declared) -> None:
            async with self._turns:
                self._spool.add(await decided_among(each, keys, around, seconds))

        await run_each(declared, work, jobs=min(self._settings.jobs, len(declared)))
        if self._settings.prune:
            await self._undeclared(declared, ledger, around, keys, seconds)
        self._settings.seen()

    async def _undeclared(
        self,
        declared: list[Declared],
        ledger: Remembered,
        around: Around,
        keys: KeyCollection[Any, Any, Any],
        seconds: float,
    ) -> None:
        """Find the keys of the ledger that are declared no more."""
        wanted = {(each.name, each.store) for each in declared}
        replaced = {
            each.entry.plan.replaces.entry
            for each in ledger.entries
            if each.entry.plan.replaces is not None
        }
        for seen in ledger.entries:
            plan = seen.entry.plan
            is_kept = isinstance(seen.entry.state, Kept) and seen.id not in replaced
            if not is_kept or (plan.name, plan.store) in wanted:
                continue
            as_if = attrs.evolve(
                declared[0], name=plan.name, store=plan.store, where="", permissions=None
            )
            among = () if isinstance(around.listed.keys, Unread) else around.listed.keys
            async with self._turns:
                store = await held_at(plan.store, keys, among, seconds)
            self._spool.add(decide_undeclared(as_if, seen.entry, around.listed, store))
