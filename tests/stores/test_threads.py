"""A thread cannot be cancelled; who waits for it can."""

from __future__ import annotations

import asyncio
import threading
import weakref
from functools import partial

import pytest
from programs import Program

from agentkeys import StoreError
from agentkeys.stores.contract.threads import in_thread

FOREVER = 60.0


def test_the_work_is_done_elsewhere_and_its_result_comes_back():
    """The loop goes on meanwhile."""
    asked, answer = threading.Event(), threading.Event()

    def work(_):
        asked.set()
        assert answer.wait(FOREVER)
        return threading.current_thread()

    async def main():
        working = asyncio.ensure_future(in_thread(work, timeout=FOREVER, store="it"))
        await asyncio.to_thread(asked.wait)
        answer.set()
        assert await working is not threading.current_thread()

    asyncio.run(main())


def test_an_error_comes_back_as_it_is():
    """With no other behind it, which could hold what nobody is to see."""

    def work(_):
        raise StoreError("no", store="it")

    with pytest.raises(StoreError, match="no") as raised:
        asyncio.run(in_thread(work, timeout=FOREVER, store="it"))
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_a_cancelled_caller_waits_for_the_end():
    """The work is told to stop, and the cancellation goes on when it has."""
    begun, steps = threading.Event(), []

    def work(stop):
        begun.set()
        assert stop.wait(FOREVER)
        steps.append("ended")

    async def main():
        working = asyncio.ensure_future(in_thread(work, timeout=FOREVER, store="it"))
        await asyncio.to_thread(begun.wait)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        steps.append("cancelled")

    asyncio.run(main())
    assert steps == ["ended", "cancelled"]


def test_a_second_cancellation_does_not_wait():
    """Whoever insists goes at once; what the work does then is heard by nobody."""
    begun, end = threading.Event(), threading.Event()

    def work(_):
        begun.set()
        assert end.wait(FOREVER)
        raise StoreError("too late", store="it")

    async def main():
        working = asyncio.ensure_future(in_thread(work, timeout=FOREVER, store="it"))
        await asyncio.to_thread(begun.wait)
        for _ in range(2):
            working.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await working
        end.set()

    asyncio.run(main(), debug=True)


def test_work_that_takes_too_long_is_told_to_stop():
    """And if it ends then, what it says counts."""

    def work(stop):
        assert stop.wait(FOREVER)
        return "just in time"

    assert asyncio.run(in_thread(work, timeout=0.01, store="it")) == "just in time"


def test_work_that_does_not_stop_is_left_behind():
    """The error says that nobody knows what it has done."""
    end = threading.Event()
    with pytest.raises(StoreError, match=r"it did not answer within 0.01 s.*is not known") as late:
        asyncio.run(in_thread(lambda _: end.wait(FOREVER), timeout=0.01, store="it"))
    end.set()
    assert late.value.store == "it"


WITHOUT_THREADS = """
    import asyncio, threading
    from agentkeys import StoreError
    from agentkeys.lifecycle.driving import disk
    from agentkeys.stores.contract.threads import in_thread

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    threading.Thread.start = refuse
    try:
        asyncio.run(in_thread(print, timeout=60, store="it"))
    except StoreError as error:
        print(error, flush=True)
    here = threading.current_thread()
    print(asyncio.run(disk.in_thread(threading.current_thread)) is here, flush=True)
"""


def test_without_a_thread_nothing_is_begun():
    """A StoreError says so; and a note for the disk is taken by the caller itself."""
    program = Program(WITHOUT_THREADS)
    try:
        assert program.read() == "cannot use it: no more threads can be started"
        assert program.read() == "True"
    finally:
        program.kill()


def test_an_idle_thread_does_what_comes_next():
    """And until then it holds nothing of what it has done before."""

    class Held:
        pass

    async def main():
        held, gone = Held(), threading.Event()
        weakref.finalize(held, gone.set)
        work = partial(lambda _held, _: threading.current_thread(), held)
        first = await in_thread(work, timeout=FOREVER, store="it")
        del held, work
        assert await asyncio.to_thread(gone.wait, FOREVER)
        seen, now = set(), first
        while now not in seen:  # each of them is idle for a second only
            seen.add(now)
            now = await in_thread(lambda _: threading.current_thread(), **AT_ONCE)

    asyncio.run(asyncio.wait_for(main(), FOREVER))


AT_ONCE = {"timeout": FOREVER, "store": "it"}
