"""Whatever goes wrong on the wire: the store holds a live key, and none is lost sight of.

Every kind of fault that the local service knows, before it has acted and after, when the key is
made, listed, verified, and deleted.
"""

from __future__ import annotations

import asyncio
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import attempt_files
import pytest
from chaos import BASE, SERVICES, client_of, keys_of
from fault_grid import HOLDING, OF_PAGES, OTHERS
from rotating import rotation_at

from agentkeys import AgentKeysError, RequestError, UncertainStoreError, status, sync
from agentkeys.server.faults import (
    AGENTRY,
    CREATES,
    DELETES,
    LISTS,
    Answer,
    Delay,
    HalfBody,
    Reset,
)
from agentkeys.stores import DotenvStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rotating import Rotation

    from agentkeys.server.faults import Kind

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

REFUSALS = [Answer(status) for status in (400, 401, 403, 404, 409, 422)]
KINDS = [*HOLDING, *OTHERS, *REFUSALS, Answer(429, headers={"Retry-After": "0"}), Delay(0)]
FEW = [HalfBody(), Reset(), Answer(404)]
ROUTES = {"create": CREATES, "list": LISTS, "delete": DELETES}
AT_ONCE = 12
"""How many cases run at the same time; most of them wait most of the time."""


class Case(NamedTuple):
    """A fault on some routes of a service."""

    which: str
    kind: Kind
    when: Any
    routes: str
    times: Any = 1

    @property
    def is_honest(self) -> bool:
        """Whether there is a way to know: not if a deletion that failed says that it is done."""
        lies = isinstance(self.kind, Answer) and self.kind.status in {200, 404}
        return not (self.routes == "delete" and self.when == "before" and lies)


def cases(kinds: Iterable[Kind], times: Any = 1) -> list[Case]:
    grid = product(SERVICES, kinds, ["before", "after"], ROUTES)
    found = [Case(which, kind, when, routes, times) for which, kind, when, routes in grid]
    return [case for case in found if case.is_honest]


async def rotated(rotation: Rotation, seconds: float) -> AgentKeysError | None:
    try:
        await rotation.rotate(grace=0, timeout=seconds, verify_within=seconds / 4)
    except AgentKeysError as error:
        return error
    return None


async def rotated_blocking(rotation: Rotation, seconds: float) -> AgentKeysError | None:
    which = "agentity" if "Agentity" in repr(rotation.keys.scope) else "agentry"
    kind = sync.AgentityClient if which == "agentity" else sync.AgentryClient
    twin = client_of(rotation.service, which)
    retry = twin._session._settings.retry

    def call() -> None:
        credentials = twin._session._credentials
        with kind(credentials, base_url=rotation.service.url, retry=retry) as client:
            keys = keys_of(rotation.service, client)
            sync.rotate(keys, BASE, into=rotation.store, grace=0, timeout=seconds)

    try:
        await asyncio.to_thread(call)
    except AgentKeysError as error:
        return error
    return None


async def check(case: Case, way: Any, path: Path, seconds: float) -> AgentKeysError | None:
    """See that the laws hold; return the error, if there was one."""
    async with rotation_at(case.which, DotenvStore(path, "KEY")) as rotation:
        faults = rotation.service.faults
        routes = ROUTES[case.routes] & AGENTRY if case.kind.of_pages else ROUTES[case.routes]
        faults.add(routes, case.kind, when=case.when, times=case.times)
        error = await way(rotation, seconds)
        faults.clear()
        await rotation.lawful()
        # On a machine that is busy a write may take too long; then it may be done all the same.
        is_known = error is not None and not isinstance(error, UncertainStoreError)
        if is_known and (case.routes == "list" or error.applied == "no"):
            assert await rotation.stored() == rotation.secret
        which, swept = await rotation.at_rest()
        assert swept.unresolved == ()
        assert which == "new" or error is not None
        assert len(await rotation.listed()) == 1
        found = await status(rotation.keys)
        assert found.retiring == ()
        # Of a create that nobody heard of, what may yet come; nothing has by now.
        assert {each.state for each in found.under_way} <= {"asking"}
        text = str(error or "")
        assert rotation.secret.reveal() not in text
        assert (await rotation.stored()).reveal() not in text
        # What is left can be rotated as if nothing had been.
        assert (await rotation.rotate(grace=0)).key.id in await rotation.listed()
        # Another service may come to have the port.
        for held in attempt_files.claim(lambda scope: scope.realm == rotation.service.url):
            held.finish()
        return error


async def run(
    grid: list[Case], way: Any, folder: Path, seconds: float
) -> list[tuple[Case, AgentKeysError | None]]:
    """Check all cases, some at a time; raise what failed, each with its case."""
    permits = asyncio.Semaphore(AT_ONCE)
    failures = []

    async def one(number: int, case: Case) -> AgentKeysError | None:
        async with permits:
            try:
                return await check(case, way, folder / f"{number}.env", seconds)
            except Exception as error:  # noqa: BLE001  # all of them are raised below
                error.add_note(str(case))
                failures.append(error)
        return None

    outcomes = await asyncio.gather(*(one(*numbered) for numbered in enumerate(grid)))
    if failures:
        raise ExceptionGroup("some cases failed", failures)
    return list(zip(grid, outcomes, strict=True))


def may_fail(case: Case) -> bool:
    """Whether one such fault may end in an error: a refusal, or a wait that is too long."""
    if case.routes == "delete":
        return False  # it is done by the next sweep
    if case.routes == "list" or not isinstance(case.kind, Answer):
        return case.routes == "list"  # nothing was made
    asked = float(case.kind.headers.get("Retry-After", 0))
    refused = case.kind in REFUSALS and (case.when == "before" or case.kind.status == 401)
    return refused or asked > 2


@pytest.mark.parametrize(
    ("way", "kinds"),
    [
        pytest.param(rotated, FEW, id="few, async"),
        pytest.param(rotated_blocking, FEW[1:2], id="one, blocking"),
        pytest.param(rotated, KINDS, id="all, async", marks=pytest.mark.long),
        pytest.param(rotated_blocking, KINDS, id="all, blocking", marks=pytest.mark.long),
    ],
)
async def test_one_fault_loses_no_key(way, kinds, tmp_path):
    """One request goes wrong: the rotation is done, or all is as before."""
    outcomes = await run(cases(kinds), way, tmp_path, 10.0)
    assert len(outcomes) >= len(kinds) * 12 - 8
    for case, error in outcomes:
        assert error is None or may_fail(case), f"{case}: {error!r}"
        assert error is None or isinstance(error, RequestError), f"{case}: {error!r}"


@pytest.mark.parametrize(
    ("way", "kinds"),
    [
        pytest.param(rotated, FEW[1:2], id="one, async"),
        pytest.param(rotated, KINDS, id="all, async", marks=pytest.mark.long),
        pytest.param(rotated_blocking, KINDS, id="all, blocking", marks=pytest.mark.long),
    ],
)
async def test_nor_does_one_that_lasts(way, kinds, tmp_path):
    """Each request of a kind goes wrong: what is left, the sweeps finish."""
    outcomes = await run(cases(kinds, "always"), way, tmp_path, 1.5)
    assert len(outcomes) >= len(kinds) * 12 - 4


@pytest.mark.long
@pytest.mark.parametrize("way", [rotated, rotated_blocking])
async def test_nor_do_pages_that_lie(way, tmp_path):
    """A cursor that repeats itself ends the listing with an error, and nothing was made."""
    grid = [Case("agentry", kind, "after", "list", "always") for kind in OF_PAGES]
    outcomes = await run(grid, way, tmp_path, 3.0)
    assert len(outcomes) == len(OF_PAGES)
