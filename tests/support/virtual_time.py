"""An event loop whose clock stands still while anything happens, and jumps when nothing does."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

PATIENCE = 20.0
"""Real seconds after which something that should have happened never will."""

# Real seconds that what was sent on this machine may need to arrive.
_ON_THE_WAY = 0.01


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Waits for sockets and threads in real time, and for timers not at all.

    When nothing comes any more, it is the next timer's turn, at once. On a machine that is slow
    beyond measure that may be too early; then a call meets its deadline with less done. It is never
    too late: what ends at a virtual time ends by a timer that somebody set for it.
    """

    def __init__(self) -> None:
        self._sockets = _Sockets()
        super().__init__(self._sockets)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._sockets.now

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let no time go by: something is under way in another thread."""
        self._sockets.elsewhere += 1
        try:
            yield
        finally:
            self._sockets.elsewhere -= 1


class _Sockets(selectors.DefaultSelector):
    now = 0.0
    elsewhere = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if timeout is None or self.elsewhere:
            ready = super().select(PATIENCE)
            assert ready, "everything waits for ever"
            return ready
        ready = super().select(_ON_THE_WAY)
        if not ready:
            self.now += timeout
        return ready


@web.middleware
async def at_work(request: web.Request, handler: Any) -> web.StreamResponse:
    """Let no time go by while the local service does what it was asked for."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with loop.standing_still():
        return await handler(request)


def run(test: Coroutine[Any, Any, Any]) -> Any:
    """Run *test* on such a loop."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(test)
