"""Many rotate one key at once, while others sweep: one works, and the others are told of it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from chaos import BASE, SERVICES, client_of, keys_of
from killing import UNKILLED, Killing
from rotating import age, either, rotation_at

from agentkeys import RotationInProgressError, Secret, rotate, status
from agentkeys.lifecycle.journal import FileJournal
from agentkeys.server import LocalService
from agentkeys.server.faults import CREATES, Delay
from agentkeys.stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rotating import Rotation

pytestmark = pytest.mark.asyncio


@pytest.fixture
def start(tmp_path, monkeypatch) -> Callable[[str], Any]:
    @contextlib.asynccontextmanager
    async def started(which: str, **how: Any) -> AsyncIterator[Killing]:
        async with LocalService() as service, client_of(service, which) as client:
            keys = keys_of(service, client)
            with contextlib.closing(
                Killing(service, keys, which, tmp_path, monkeypatch, **how)
            ) as killing:
                yield killing

    return started


async def watched(rotation: Rotation, work: Any, act: Callable[[], object] = int) -> Any:
    """Look into the store all the while: it never holds a dead key. Call *act* as often."""
    running = asyncio.ensure_future(work)
    while not running.done():
        act()
        stored = await rotation.stored()
        is_live = await rotation.service.is_live(stored)
        # It may have been replaced between the two looks, and its key deleted.
        assert is_live or await rotation.stored() != stored, "the store holds a dead key"
        await asyncio.wait({running}, timeout=0.005)
    return running.result()


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "by its id"])
@pytest.mark.parametrize(
    ("which", "processes", "rounds"),
    [
        ("agentry", 10, 1),
        *(pytest.param(which, 10, 20, marks=pytest.mark.long) for which in SERVICES),
    ],
)
async def test_ten_processes_rotate_one_key(which, is_known, processes, rounds, start):
    """And as many others sweep: nine are told that it is being replaced."""
    async with start(which, grace=0.0) as killing:
        for _ in range(rounds):
            rotation = await killing.begin()
            if not is_known:
                shutil.rmtree(FileJournal.ledger())
            # The one that works goes on when all others have been told.
            held = killing.service.faults.add(CREATES, Delay(20.0), when="before")
            more = {} if is_known else {"replaces": rotation.old.id}
            rotating = [killing.job("rotate", UNKILLED, **more) for _ in range(processes)]
            sweeping = [killing.job("sweep") for _ in range(processes // 2)]
            others = len(rotating) + len(sweeping) - 1
            ended = await watched(
                rotation,
                killing.run(*rotating, *sweeping),
                lambda held=held, others=others: len(killing.ended()) >= others and held.remove(),
            )
            said = [how for how, _ in ended[:processes]]
            assert said.count("done") == 1, said
            assert said.count("RotationInProgressError") == processes - 1, said
            assert {how for how, _ in ended[processes:]} == {"done"}
            assert (await rotation.at_rest())[0] == "new"
            assert len(await rotation.listed()) == 1
            found = await status()
            assert (found.under_way, found.retiring) == ((), ())
            assert [each.key_id for each in found.kept] == list(await rotation.listed())


@pytest.mark.parametrize("grace", [50.0, pytest.param(0.0, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("which", "processes", "rounds"),
    [
        ("agentity", 8, 1),
        *(pytest.param(which, 12, 20, marks=pytest.mark.long) for which in SERVICES),
    ],
)
async def test_half_of_them_are_killed(which, grace, processes, rounds, start):
    """Wherever they are; the others and the sweeps go on, and one key is left in the end."""
    async with start(which, grace=grace) as killing:
        rotation = await killing.begin()
        [(_, points)] = await killing.run(killing.job("rotate"))
        for turn in range(rounds):
            rotation = await killing.begin()
            jobs = []
            for number in range(processes):
                point = (number * rounds + turn) * points // (processes * rounds)
                does = "sweep" if number % 4 == 3 else "rotate"
                jobs.append(killing.job(does, point if number % 2 else UNKILLED))
            await watched(rotation, killing.run(*jobs))
            await rotation.at_rest(then=_nobody)
            age(grace)
            which_key, swept = await rotation.at_rest(then=_nobody)
            assert swept.unresolved == ()
            assert len(await rotation.listed()) == 1, which_key


def _nobody() -> None:
    """Tell nobody."""


@either
async def test_one_after_the_other_in_one_process(which):
    """Tasks of one loop are no better than processes."""
    async with rotation_at(which) as rotation:
        calls = (rotation.rotate(grace=0) for _ in range(10))
        ended = await asyncio.gather(*calls, return_exceptions=True)
        errors = [each for each in ended if isinstance(each, Exception)]
        assert len(errors) == 9
        for error in errors:
            assert isinstance(error, RotationInProgressError), error
            assert error.key_id == rotation.old.id
            assert str(rotation.old.id) in str(error)
        assert (await rotation.at_rest())[0] == "new"
        assert len(await rotation.listed()) == 1
        assert len((await status()).kept) == 1


@either
async def test_two_stores_two_names(which):
    """Rotations of other keys are nobody's matter."""
    async with rotation_at(which) as rotation:
        from agentkeys import issue

        others = [MemoryStore() for _ in range(3)]
        for number, store in enumerate(others):
            await issue(rotation.keys, f"{number}-bot", into=store)
        calls = [
            rotate(rotation.keys, f"{number}-bot", into=store)
            for number, store in enumerate(others)
        ]
        await asyncio.gather(rotation.rotate(), *calls)
        assert len((await status()).retiring) == 4
        assert await rotation.lawful() == "new"


@either
async def test_the_second_one_comes_while_the_first_one_verifies(which):
    """It is refused at once, and names the key."""
    refusals: list[Exception] = []
    async with rotation_at(which) as rotation:

        async def verify(_: Secret) -> None:
            try:
                await rotation.rotate()
            except RotationInProgressError as error:
                refusals.append(error)

        async def then() -> None:
            await verify(Secret("x"))

        await rotation.rotate(verify=verify, then=then, grace=60)
        await verify(Secret("x"))
        assert len(refusals) == 3
        assert "another process is replacing it now" in str(refusals[0])
        assert all(BASE in str(error) for error in refusals)
        assert (await rotation.sweep(force=True)).retired == (rotation.old.id,)
        await rotation.rotate()
