"""Law 3: the calls of a loop share one timer, and each keeps its own deadline."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from typing import Any

import pytest
from samples import agentity
from wire import Wire, answer, hang

from agentkeys import DeadlineExceededError
from agentkeys.transport.deadline import Deadline

SOON = 0.02
LATE = 60.0


def after(seconds: float) -> Deadline:
    return Deadline(asyncio.get_running_loop().time() + seconds)


async def ended_by(seconds: float) -> str:
    """Wait for ever in a deadline, and say what ended it."""
    try:
        with after(seconds):
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        return "cancelled"
    return "late"


@pytest.mark.asyncio
@pytest.mark.parametrize("waits", [[0.03, 0.02, 0.01], [0.01, 0.02, 0.03], [0.02, 0.02, 0.02]])
async def test_deadlines_pass_in_their_order(waits):
    """Whichever was set first, and though all but one wait behind the same timer."""
    now = asyncio.get_running_loop().time()
    passed = []

    async def one(wait: float) -> None:
        with Deadline(now + wait):
            await asyncio.Event().wait()
        passed.append(wait)

    await asyncio.gather(*map(one, waits))
    assert passed == sorted(waits)


@pytest.mark.asyncio
async def test_one_that_was_taken_back_does_no_harm():
    """The timer that was set for it rings, and is set anew for the next."""
    with after(SOON / 2):
        pass
    assert await ended_by(SOON) == "late"
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("outer", "inner", "ends"),
    [(LATE, SOON, ["inner"]), (SOON, LATE, ["outer"]), (SOON, SOON, ["outer"])],
)
async def test_deadlines_nest(outer, inner, ends):
    """The one whose time has come ends; if both pass at once it is the outer one."""
    now = asyncio.get_running_loop().time()
    seen = []
    with Deadline(now + outer):
        with Deadline(now + inner):
            await asyncio.Event().wait()
        seen.append("inner")
    assert (seen or ["outer"]) == ends
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.asyncio
async def test_a_deadline_nests_with_asyncios_own():
    """Each takes in its own cancellation alone."""
    with pytest.raises(TimeoutError):  # noqa: PT012  # the one statement is in both
        async with asyncio.timeout(SOON):
            with after(LATE):
                await asyncio.Event().wait()
    async with asyncio.timeout(LATE):
        assert await ended_by(SOON) == "late"
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.asyncio
async def test_who_cancels_is_heard():
    """Also if the deadline passes before the task gets to run."""
    task = asyncio.create_task(ended_by(LATE))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cancelled"

    both = asyncio.create_task(ended_by(SOON))
    await asyncio.sleep(0)
    end = asyncio.get_running_loop().time() + SOON
    while asyncio.get_running_loop().time() <= end:
        pass  # so that this callback and the timer are run one after the other
    asyncio.get_running_loop().call_soon(both.cancel)
    assert await both == "cancelled"


@pytest.mark.asyncio
async def test_other_errors_come_through():
    """What is raised when its time has come is no cancellation, and is not taken in."""

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError from None

    with pytest.raises(KeyError):  # the one statement is in the deadline
        with after(SOON):
            await stubborn()
    assert asyncio.current_task().cancelling() == 0


@pytest.mark.asyncio
async def test_never_is_never():
    """`math.inf` sets no timer, and keeps none of the others waiting."""
    with Deadline(math.inf):
        assert await ended_by(SOON) == "late"


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(self, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(*args, **kwargs)


def test_a_loop_has_one_timer_however_many_the_calls():
    """A hundred calls, one after the other, set no hundred timers."""

    async def calls() -> int:
        loop = asyncio.get_running_loop()
        async with Wire(answer(200, {"apiKeys": []})) as wire, agentity(wire.url) as client:
            await client.api_keys.list().first()
            before = loop.timers
            for _ in range(100):
                await client.api_keys.list().first()
            return loop.timers - before

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(calls()) < 10  # aiohttp sets some of its own, by the clock


def test_no_timer_keeps_a_closed_loop():
    """Neither the loop nor a task that it was closed under, once the loop has ended."""
    loop = asyncio.SelectorEventLoop()
    task = loop.create_task(ended_by(LATE))
    loop.run_until_complete(asyncio.sleep(0))
    loop.set_exception_handler(lambda *_: None)  # asyncio says that the task is pending
    loop.close()
    gone = [weakref.ref(loop), weakref.ref(task)]
    del loop, task
    gc.collect()
    assert [each() for each in gone] == [None, None]


def test_each_loop_of_a_thread_has_its_own():
    """Loops that take turns in a thread keep the deadlines of each."""
    loops = [asyncio.new_event_loop() for _ in range(2)]
    tasks = [loop.create_task(ended_by(SOON)) for loop in loops]
    for loop in loops:
        loop.run_until_complete(asyncio.sleep(0))
    assert [loop.run_until_complete(task) for loop, task in zip(loops, tasks, strict=True)] == [
        "late",
        "late",
    ]
    for loop in loops:
        loop.close()


@pytest.mark.asyncio
async def test_short_and_long_calls_side_by_side():
    """A short timeout is kept though a long one came first, and the other way round."""
    async with Wire(hang) as wire, agentity(wire.url) as client:
        long = asyncio.create_task(client.api_keys.list(timeout=LATE).first())
        await wire.arrived.wait()
        with pytest.raises(DeadlineExceededError):
            await client.api_keys.list(timeout=SOON).first()
        assert not long.done()
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
