"""Killed with SIGKILL before and after all that `rotate`, `sweep` and `abort` do.

Whatever a dead process has left: once the sweeps are quiet, the store holds a live key, no key is
alive that nobody knows, and the old one is gone only if the new one is stored and told of.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from chaos import SERVICES, client_of, keys_of
from killing import FILES, UNKILLED, Killing, at_rest, spread
from rotating import age, either

from agentkeys.server import LocalService
from agentkeys.server.faults import CREATES, DELETES, MalformedJson, Reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rotating import Rotation

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

FAULTS: dict[str, tuple[Any, ...]] = {
    "all is well": (),
    "the answer is lost": ((CREATES, Reset(), "after"),),
    "the answer cannot be read": ((CREATES, MalformedJson(), "after"),),
    "lost, and so is the deletion": ((CREATES, Reset(), "after"), (DELETES, Reset(), "after")),
}


@pytest.fixture
def start(tmp_path, monkeypatch) -> Callable[[str], Any]:
    @contextlib.asynccontextmanager
    async def started(which: str, **how: Any) -> AsyncIterator[Killing]:
        async with LocalService() as service, client_of(service, which) as client:
            keys = keys_of(service, client)
            with contextlib.closing(
                Killing(service, keys, which, tmp_path, monkeypatch, **how)
            ) as k:
                yield k

    return started


class Case(NamedTuple):
    """At how many points a run is killed, and how it is one."""

    most: int | None
    faults: str
    grace: float
    tells: bool
    form: str = "dotenv"

    def __str__(self) -> str:
        said = "told" if self.tells else "not told"
        return f"{self.form}, {self.most or 'all'} points, {self.faults}, {self.grace:g} s, {said}"


def cases(*few: Case) -> Any:
    """Some points at every run, and all of them when it is asked for.

    Each two of what makes a case meet in some case. That takes half of the minutes of all cases.
    """
    each = enumerate(itertools.product(FAULTS, (0.0, 50.0), (False, True)))
    every = [
        pytest.param(Case(None, *case, [*FILES][number.bit_count() % 2]), marks=pytest.mark.long)
        for number, case in each
    ]
    return pytest.mark.parametrize("case", [*few, *every], ids=str)


def one_service_at_every_run(most: int) -> Any:
    """Some points of one, and all of both when it is asked for."""
    every = [pytest.param(which, None, marks=pytest.mark.long) for which in SERVICES]
    return pytest.mark.parametrize(("which", "most"), [("agentry", most), *every])


@either
@cases(Case(7, "all is well", 0.0, tells=True))
async def test_rotate_can_be_killed_anywhere(which, case, start):
    """Before the store was written the old key stays, and after that everything goes forward."""
    async with start(which, grace=case.grace, tells=case.tells, form=case.form) as killing:
        rotation = await killing.begin()
        [(ended, points)] = await killing.run(killing.job("rotate"), faults=FAULTS[case.faults])
        assert ended == "done"
        assert await at_rest(killing, rotation) == "new"
        outcomes = []
        for point in spread(points, case.most):
            rotation = await killing.begin()
            [(ended, _)] = await killing.run(
                killing.job("rotate", point), faults=FAULTS[case.faults]
            )
            assert ended == "killed" or FAULTS[case.faults]
            outcomes.append(await at_rest(killing, rotation))
        assert set(outcomes) == {"old", "new"}
        assert outcomes == sorted(outcomes, reverse=True), "it went back after it had gone forward"


@either
@cases(Case(3, "all is well", 50.0, tells=True))
async def test_sweep_can_be_killed_while_it_retires(which, case, start):
    """The old key is gone or it is not, and the next sweep sees that."""
    async with start(which, grace=case.grace, tells=case.tells, form=case.form) as killing:

        async def begun() -> Rotation:
            rotation = await killing.begin()
            # As it is left by who dies when the store is written, or when all is noted.
            await killing.run(killing.job("rotate", grace=50.0))
            age(50.0)
            return rotation

        rotation = await begun()
        deletes = [fault for fault in FAULTS[case.faults] if fault[0] is DELETES]
        [(ended, points)] = await killing.run(killing.job("sweep"), faults=deletes)
        assert ended == "done"
        assert await at_rest(killing, rotation) == "new"
        killed = 0
        for point in spread(points, case.most):
            rotation = await begun()
            [(ended, _)] = await killing.run(killing.job("sweep", point), faults=deletes)
            killed += ended == "killed"
            assert await at_rest(killing, rotation) == "new"
        assert killed >= len(spread(points, case.most)) * 0.9


@one_service_at_every_run(3)
async def test_a_sweep_of_what_was_killed_can_be_killed(which, most, start):
    """And the sweep after that, wherever the first one was killed."""
    async with start(which) as killing:
        rotation = await killing.begin()
        [(_, points)] = await killing.run(killing.job("rotate"))
        seen = set()
        for number, point in enumerate(spread(points, most and 2 * most)):
            rotation = await killing.begin()
            await killing.run(killing.job("rotate", point))
            for again in range(3):
                await killing.run(killing.job("sweep", (number * 5 + again * 3) % 12))
                await rotation.lawful_without_the_journal()
            seen.add(await at_rest(killing, rotation))
        assert seen == {"old", "new"}


@one_service_at_every_run(4)
async def test_abort_can_be_killed_anywhere(which, most, start):
    """The store holds the old secret and the new key goes; or it holds the new one, and stays."""
    async with start(which, grace=50.0) as killing:
        seen = set()

        async def begun() -> Rotation:
            rotation = await killing.begin()
            await killing.run(killing.job("rotate"))
            return rotation

        async def aborted(rotation: Rotation, point: int) -> int:
            secret = rotation.secret.reveal()
            [(_, points)] = await killing.run(killing.job("abort", point, secret=secret))
            return points

        rotation = await begun()
        points = await aborted(rotation, UNKILLED)
        assert await at_rest(killing, rotation) == "old"
        for point in spread(points, most):
            rotation = await begun()
            await aborted(rotation, point)
            seen.add(await at_rest(killing, rotation))
        assert seen == {"old", "new"}
