"""An event loop in another thread, for servers that must answer while a test waits in this one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from typing import Any, Self

PATIENCE = 20.0
"""Seconds after which something that should have happened never will."""


async def ended(begun: object) -> None:
    """Wait for what was begun in another loop, if that is what it is."""
    if isinstance(begun, concurrent.futures.Future):
        await asyncio.wrap_future(begun)


class Background:
    """Runs coroutines, and keeps what they open until the end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._exits = contextlib.AsyncExitStack()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def enter(self, manager: Any) -> Any:
        return self.run(self._exits.enter_async_context(manager))

    def wait(self, event: asyncio.Event) -> None:
        """Wait for *event*, which a coroutine sets."""
        self.run(asyncio.wait_for(event.wait(), PATIENCE))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._exits.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
