"""Killed with SIGKILL before and after all that `issue`, `rotate` and `sweep` do, on PostgreSQL.

A point is what others can see: the disk, the service's socket, and each answer of the database.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from chaos import BASE, client_of, keys_of
from killing import Killing, at_rest, spread
from rotating import Rotation, age

from agentkeys import status, sweep
from agentkeys.server import LocalService
from agentkeys.server.faults import CREATES, DELETES, Reset
from agentkeys.stores import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from postgres import Postgres

pytestmark = [pytest.mark.asyncio, pytest.mark.slow]

FAULTS: dict[str, tuple[Any, ...]] = {
    "all is well": (),
    "lost, and so is the deletion": ((CREATES, Reset(), "after"), (DELETES, Reset(), "after")),
}
few_or_all: Any = pytest.mark.parametrize(
    ("most", "fault"),
    [
        (6, "all is well"),
        *(pytest.param(None, each, marks=pytest.mark.long) for each in FAULTS),
    ],
)


class Runs(Killing):
    """Runs whose journal is in one database."""

    postgres: Postgres
    database: str

    async def begin_with_nothing(self) -> None:
        await super().begin_with_nothing()
        await status()  # it makes the tables
        self.run_sql("DELETE FROM agentkeys.entries")

    def run_sql(self, statement: str) -> list[tuple[Any, ...]]:
        return self.postgres.run(statement, self.database)

    def let_leases_end(self) -> None:
        """Do what the time does: nobody prolongs a lease of who was killed."""
        self.run_sql("UPDATE agentkeys.entries SET until = now() WHERE until IS NOT NULL")


@pytest_asyncio.fixture
async def runs(postgres, database, tmp_path, monkeypatch) -> AsyncIterator[Runs]:
    monkeypatch.setenv("AGENTKEYS_JOURNAL", database)
    async with LocalService() as service, client_of(service, "agentry") as client:
        keys = keys_of(service, client)
        with contextlib.closing(Runs(service, keys, "agentry", tmp_path, monkeypatch)) as made:
            made.postgres, made.database = postgres, database.rpartition("/")[2]
            yield made


@few_or_all
async def test_issue_can_be_killed_anywhere(most, fault, runs):
    """After a sweep, there is one key and its secret is stored, or there is none."""
    await runs.begin_with_nothing()
    [(ended, points)] = await runs.run(runs.job("issue"), faults=FAULTS[fault])
    assert ended == "done"
    outcomes, killed = [], 0
    for point in spread(points, most):
        await runs.begin_with_nothing()
        [(ended, _)] = await runs.run(runs.job("issue", point), faults=FAULTS[fault])
        killed += ended == "killed"
        runs.let_leases_end()
        outcomes.append(await swept(runs))
    assert killed >= len(spread(points, most)) * 0.9
    assert set(outcomes) == {False, True}


async def swept(runs: Runs) -> bool:
    """Sweep twice, as what died was perhaps heard late; return whether a secret is stored."""
    await sweep(runs.keys)
    assert (await sweep(runs.keys)).unresolved == ()
    secret = (await open_store(runs.address).read()).secret
    listed = [key async for key in runs.keys.list() if key.name.startswith(f"{BASE}~")]
    assert len(listed) == (secret is not None), "a key is left that nobody holds"
    assert secret is None or await runs.service.is_live(secret), "a stored secret is dead"
    kept = [each.key_id for each in (await status()).kept]
    assert kept == [key.id for key in listed]
    return secret is not None


@few_or_all
async def test_rotate_can_be_killed_anywhere(most, fault, runs):
    """Before the store was written the old key stays, and after that everything goes forward."""
    rotation = await runs.begin()
    [(ended, points)] = await runs.run(runs.job("rotate"), faults=FAULTS[fault])
    assert ended == "done"
    assert await at_rest(runs, rotation) == "new"
    outcomes = []
    for point in spread(points, most):
        rotation = await runs.begin()
        await runs.run(runs.job("rotate", point), faults=FAULTS[fault])
        runs.let_leases_end()
        outcomes.append(await at_rest(runs, rotation))
    assert set(outcomes) == {"old", "new"}
    assert outcomes == sorted(outcomes, reverse=True), "it went back after it had gone forward"


@few_or_all
async def test_sweep_can_be_killed_while_it_retires(most, fault, runs):
    """The old key is gone or it is not, and the next sweep sees that."""

    async def begun() -> Rotation:
        rotation = await runs.begin()
        await runs.run(runs.job("rotate", grace=50.0))
        runs.let_leases_end()
        assert age(50.0) == 1
        return rotation

    deletes = [each for each in FAULTS[fault] if each[0] is DELETES]
    rotation = await begun()
    [(ended, points)] = await runs.run(runs.job("sweep"), faults=deletes)
    assert ended == "done"
    assert await at_rest(runs, rotation) == "new"
    for point in spread(points, most):
        rotation = await begun()
        await runs.run(runs.job("sweep", point), faults=deletes)
        runs.let_leases_end()
        assert await at_rest(runs, rotation) == "new"
