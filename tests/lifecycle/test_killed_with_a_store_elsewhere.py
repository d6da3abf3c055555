"""Killed with SIGKILL before and after all that `issue` and `rotate` do with a store elsewhere.

The store is on another machine, so what it does is seen on a socket. Its answers are lost as well,
and somebody else writes in between. Whatever a dead process has left: the store holds a live key,
and no key is alive that nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from chaos import BASE, client_of, keys_of
from elsewhere import SERVERS, Elsewhere
from killing import UNKILLED, Killing, at_rest, spread
from rotating import let_writes_be_late

from agentkeys import Secret, status, sweep
from agentkeys.server import LocalService
from agentkeys.stores import open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = [pytest.mark.asyncio, pytest.mark.long]

MOST = 100
"""The points at which a run is killed."""
TROUBLES = {"all is well": "", "an answer is lost": "after", "a request is lost": "before"}


@pytest.fixture(params=SERVERS)
def form(request) -> str:
    return request.param


@pytest.fixture
def elsewhere(form, tmp_path, monkeypatch) -> Iterator[Elsewhere]:
    with SERVERS[form](tmp_path, monkeypatch) as it:
        yield it


@pytest.fixture
def start(elsewhere, form, tmp_path, monkeypatch) -> Callable[..., Any]:
    @contextlib.asynccontextmanager
    async def started(**how: Any) -> AsyncIterator[Killing]:
        async with LocalService() as service, client_of(service, "agentry") as client:
            killing = Killing(
                service,
                keys_of(service, client),
                "agentry",
                tmp_path,
                monkeypatch,
                form=form,
                **how,
            )
            with contextlib.closing(killing):
                yield killing

    return started


def troubles(elsewhere: Elsewhere, trouble: str) -> list[Any]:
    when = TROUBLES[trouble]
    return elsewhere.lose(when) if when else []


async def issued_or_not(killing: Killing) -> bool:
    """Sweep, and see that the one key that is left is the one whose secret is stored."""
    let_writes_be_late()
    await sweep(killing.keys)
    swept = await sweep(killing.keys)
    assert swept.unresolved == ()
    stored = (await open_store(killing.address).read()).secret
    left = [key for key in await killing.keys.list().collect() if key.name.startswith(BASE)]
    assert len(left) == (stored is not None), "a key is left that nobody knows of"
    assert stored is None or await killing.service.is_live(stored), "the store holds a dead key"
    assert {each.state for each in (await status()).under_way} <= {"asking"}
    return stored is not None


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_issue_can_be_killed_anywhere(trouble, elsewhere, start):
    """Never a key that nobody holds, and never a secret whose key is gone."""
    async with start() as killing:
        await killing.begin_with_nothing()
        elsewhere.server.troubles = troubles(elsewhere, trouble)
        [(ended, points)] = await killing.run(killing.job("issue"))
        assert ended == "done"
        assert await issued_or_not(killing)
        outcomes = []
        for point in spread(points, MOST):
            await killing.begin_with_nothing()
            elsewhere.server.troubles = troubles(elsewhere, trouble)
            await killing.run(killing.job("issue", point))
            elsewhere.server.troubles = []
            outcomes.append(await issued_or_not(killing))
    assert set(outcomes) == {False, True}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_rotate_can_be_killed_anywhere(trouble, elsewhere, start):
    """Before the store was written the old key stays, and after that everything goes forward."""
    async with start() as killing:
        rotation = await killing.begin()
        elsewhere.server.troubles = troubles(elsewhere, trouble)
        [(ended, points)] = await killing.run(killing.job("rotate"))
        assert ended == "done"
        assert await at_rest(killing, rotation) == "new"
        outcomes = []
        for point in spread(points, MOST):
            rotation = await killing.begin()
            elsewhere.server.troubles = troubles(elsewhere, trouble)
            await killing.run(killing.job("rotate", point))
            elsewhere.server.troubles = []
            outcomes.append(await at_rest(killing, rotation))
    assert set(outcomes) == {"old", "new"}


async def test_somebody_else_writes_in_between(elsewhere, start):
    """Their secret stays, whenever it comes, and then the old key lives on."""
    async with start() as killing:
        await killing.begin()
        theirs = Secret("somebody else's")

        def interfere() -> object:
            writing = open_store(killing.address).write(theirs)
            return asyncio.run_coroutine_threadsafe(writing, loop)

        loop = asyncio.get_running_loop()
        server = elsewhere.server
        before = len(server.asked)
        await killing.run(killing.job("rotate", UNKILLED))
        requests = len(server.asked) - before
        seen = set()
        for number in range(requests):
            rotation = await killing.begin()
            server.troubles = elsewhere.interfere(interfere, number)
            await killing.run(killing.job("rotate"))
            server.troubles = []
            stored = (await open_store(killing.address).read()).secret
            assert stored is not None
            seen.add(stored == theirs)
            live = [key.id for key in await killing.keys.list().collect()]
            assert rotation.old.id in live or await killing.service.is_live(stored)
    assert True in seen
