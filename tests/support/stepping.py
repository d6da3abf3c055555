"""An event loop that can be interrupted between any two of its callbacks."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine
    from collections.abc import Set as AbstractSet

    from agentkeys.transport.client import Client


Attempt: TypeAlias = "tuple[Client, Coroutine[Any, Any, Any]]"
"""A client and a call of its, which is made anew each time."""

PATIENCE = 20.0
"""Seconds after which something that should have happened never will."""


class SteppingLoop(asyncio.SelectorEventLoop):
    """Does something before the n-th callback from now on, whoever's that is."""

    def __init__(self) -> None:
        super().__init__()
        # Where asyncio keeps the callbacks that are due, and takes one after the other from.
        self._ready = _Callbacks()

    def before(self, step: int, act: Callable[[], object]) -> None:
        """Call *act* before the callback number *step*, counted from 0."""
        self._ready.countdown, self._ready.act = step, act

    def forget(self) -> bool:
        """Let nothing be done any more; tell whether there was still something to be done."""
        return self._ready.forget()


class _Callbacks(deque[Any]):
    countdown = 0
    act: Callable[[], object] | None = None

    def popleft(self) -> Any:
        if self.act is not None:
            if self.countdown == 0:
                act, self.act = self.act, None
                act()
            self.countdown -= 1
        return super().popleft()

    def forget(self) -> bool:
        waiting, self.act = self.act is not None, None
        return waiting


async def cancelled_before(step: int, call: Coroutine[Any, Any, Any]) -> bool:
    """Cancel *call* before the callback number *step*; False if it was done before that.

    A call that is cancelled ends as cancelled: it neither goes on nor raises something else.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppingLoop)
    task = loop.create_task(call)
    loop.before(step, task.cancel)
    await asyncio.wait([task], timeout=PATIENCE)
    assert task.done(), "a call that was cancelled does not end"
    if loop.forget():
        task.result()
        return False
    if not task.cancelled():
        # It was done, and only whoever waits for it had not heard of that yet.
        assert task.cancelling() == 0, "a call that was cancelled went on"
        task.result()
        return False
    return True


async def cancelled_everywhere(attempts: AsyncGenerator[Attempt, None], step: int = 1) -> int:
    """Cancel each of *attempts* so many callbacks later than the one before, until one is done.

    After each, no task is left, and no connection is held. Return at how many points it was.
    """
    points = 0
    async with aclosing(attempts):
        async for client, call in attempts:
            was_cancelled = await cancelled_before(points, call)
            await others_end()
            assert in_use(client) == 0, "a connection was not given back"
            if not was_cancelled:
                return points
            points += step
    raise AssertionError("there were too few attempts")


def in_use(client: Client) -> int:
    """Return how many connections of *client*, in this loop, a call holds or waits for."""
    http = client._session._http._lent or client._session._http._own.current()
    if http is None or http.connector is None:
        return 0
    return len(http.connector._acquired) + len(http.connector._waiters)


async def others_end(but: AbstractSet[asyncio.Task[Any]] = frozenset()) -> None:
    """See that every other task of the loop ends by itself, *but* these."""
    others = asyncio.all_tasks() - {asyncio.current_task()} - but
    if others:
        _, running = await asyncio.wait(others, timeout=PATIENCE)
        assert not running, "a task is left"
    await asyncio.sleep(0)  # what those that have just ended still call
