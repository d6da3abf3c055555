"""anyio cancels again at every turn of the loop: what is waited for is waited for all the same.

Nor does that burn a core meanwhile: a loop that waits makes few turns.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from contextlib import aclosing

import anyio
import pytest
from samples import NEW_KEY, agentity
from wire import Wire, answer

from agentkeys import Page, Pager, cancellation, issue
from agentkeys.lifecycle.driving import disk
from agentkeys.stores.contract import threads
from agentkeys.stores.memory import MemoryStore

DELETED = answer(200, {"message": "gone"})
FEW = 200
"""Turns of a loop: thousands more are made in a tenth of a second if it does not wait."""


class Turns(selectors.DefaultSelector):
    """Counts the turns of its loop."""

    count = 0

    def select(self, timeout=None):
        self.count += 1
        return super().select(timeout)


@pytest.fixture
def turns():
    return Turns()


@pytest.fixture
def run(turns):
    """Run a coroutine in a loop whose turns are counted, and which must not make many."""

    def run(coroutine) -> None:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
            runner.run(asyncio.wait_for(coroutine, 20))
        assert turns.count < FEW

    return run


def soon(then, seconds: float = 0.2):
    """Answer with *then* after some time."""

    async def reply(writer):
        await asyncio.sleep(seconds)
        await then(writer)

    reply.is_reply = True
    return reply


def test_a_create_runs_on_and_the_loop_waits(run):
    """Its answer comes, its key is deleted, and then anyio gets its cancellation back."""

    async def main() -> None:
        async with Wire(soon(answer(201, NEW_KEY)), DELETED) as wire, agentity(wire.url) as client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(client.api_keys.create, "ci")
                    await wire.arrived.wait()
                    scope.cancel()
            assert scope.cancelled_caught
            assert [seen.method for seen in wire.requests] == ["POST", "DELETE"]

    run(main())


def test_an_issue_runs_on_and_the_loop_waits(run, monkeypatch, tmp_path):
    """So does one, with what it does on the disk and in its store."""
    monkeypatch.setenv("AGENTKEYS_HOME", str(tmp_path))

    async def main() -> None:
        async with Wire(soon(answer(201, NEW_KEY)), DELETED) as wire, agentity(wire.url) as client:
            store = MemoryStore("cancelled-again")
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(lambda: issue(client.api_keys, "ci", into=store))
                    await wire.arrived.wait()
                    scope.cancel()
            assert scope.cancelled_caught
            assert wire.requests[0].method == "POST"

    run(main())
    assert list(tmp_path.rglob("*.json")) == []


@pytest.mark.parametrize("in_thread", ["store", "disk"])
def test_work_in_a_thread_is_waited_for(run, in_thread):
    """A write that is half done when the caller goes on would meet the caller's next one."""
    begun, go, done = threading.Event(), threading.Event(), threading.Event()

    def work(stop: threading.Event | None = None) -> None:
        begun.set()
        go.wait()
        done.set()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:
            loop.call_later(0.05, scope.cancel)
            loop.call_later(0.2, go.set)
            if in_thread == "store":
                await threads.in_thread(work, timeout=10, store="a store")
            else:
                await disk.in_thread(work)
        assert scope.cancelled_caught
        assert done.is_set()

    run(main())


def test_a_page_ahead_is_cancelled_and_awaited(run):
    """When a listing is left, nothing of it is left running."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def fetch(token: str | None) -> Page[int]:
        if token != "b":
            return Page((1,), "a" if token is None else "b")
        try:
            began.set()
            return await asyncio.get_running_loop().create_future()
        finally:
            for _ in range(10):  # a clean-up of some turns of the loop
                await asyncio.sleep(0)
            ended.set()

    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with aclosing(Pager(fetch).pages()) as listing:
                await anext(listing)
                await anext(listing)
                await began.wait()
                scope.cancel()
                await anyio.sleep(1)
        assert scope.cancelled_caught
        assert ended.is_set()

    run(main())


def test_a_cancellation_that_came_meanwhile_goes_on(run):
    """It is kept in for as long as it takes, and not lost."""

    async def main() -> None:
        ended = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(cancellation.outlast(ended))
        for _ in range(3):
            await asyncio.sleep(0)
            waiting.cancel("by the test")
        await asyncio.sleep(0)
        assert not waiting.done()
        ended.set_result(None)
        with pytest.raises(asyncio.CancelledError, match="by the test"):
            await waiting

    run(main())


def test_the_wait_is_bounded(run):
    """For what may never end there is a limit, which no cancellation extends."""

    async def main() -> None:
        never = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(cancellation.outlast(never, timeout=0.05))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await cancellation.outlast(never, timeout=0.01)

    run(main())
