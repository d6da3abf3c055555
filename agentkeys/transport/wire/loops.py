"""A resource for each event loop, closed by its own loop."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import AsyncGenerator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from agentkeys import forks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Generators", "PerLoop"]

R = TypeVar("R")
# Seconds that closing waits for a loop in another thread, which may be busy or about to stop.
_PATIENCE: Final = 2.0


@attrs.frozen
class _Held(Generic[R]):
    resource: R
    holder: AsyncGenerator[R, None]


class PerLoop(Generic[R]):
    """Open a resource once for each event loop that asks for it.

    Args:
        opening: an async generator that opens the resource, yields it once, and closes it. It stays
            suspended at its yield. A loop that ends in order (`loop.shutdown_asyncgens`, which
            `asyncio.run` and runners call) finalizes the generator, and so closes the resource. The
            generator must not refer to the owner of this object, or a client that is dropped would
            not be closed.
    """

    def __init__(self, opening: Callable[[], AsyncGenerator[R, None]]) -> None:
        self._opening = opening
        self._held: dict[asyncio.AbstractEventLoop, _Held[R]] = {}
        forks.watch(self)

    def current(self) -> R | None:
        """Return the running loop's resource if it is open."""
        held = self._held.get(asyncio.get_running_loop())
        return None if held is None else held.resource

    async def get(self) -> R:
        """Return the running loop's resource; open it if it is not open."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            self._forget_closed_loops()
            holder = self._opening()
            with Generators(loop).watched():  # the hooks are read at the first step
                opening = anext(holder)
            held = self._held[loop] = _Held(await opening, holder)
        return held.resource

    def loops(self) -> tuple[asyncio.AbstractEventLoop, ...]:
        """Return the loops in which the resource is open, or was open when they closed."""
        return tuple(self._held)

    async def close(self) -> None:
        """Close every resource; in the loops of other threads, wait for it for some seconds."""
        running = asyncio.get_running_loop()
        others = []
        while self._held:
            loop, held = self._held.popitem()
            if loop is running:
                await held.holder.aclose()
            elif not loop.is_closed():
                others.append((loop, asyncio.run_coroutine_threadsafe(held.holder.aclose(), loop)))
        waiting = [asyncio.wrap_future(done) for loop, done in others if loop.is_running()]
        if waiting:
            await asyncio.wait(waiting, timeout=_PATIENCE)

    def begin_afresh(self) -> object:
        """Drop all resources in a forked child; they belong to the parent."""
        inherited, self._held = self._held, {}
        return inherited

    def _forget_closed_loops(self) -> None:
        for loop in list(self._held):  # a copy: other threads open and close theirs
            if loop.is_closed():
                self._held.pop(loop, None)


class Generators:
    """Close the async generators of a loop that does not do so itself, e.g. under nest_asyncio.

    A loop sets hooks that run when a generator starts and when it is dropped (PEP 525).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: weakref.WeakSet[AsyncGenerator[Any, None]] = weakref.WeakSet()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Record the generators that start, unless the loop does so."""
        hooks = sys.get_asyncgen_hooks()
        if hooks.finalizer is None:
            sys.set_asyncgen_hooks(firstiter=self._open.add, finalizer=self._drop)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)

    async def close(self) -> None:
        """Close the generators that are still open."""
        closing = [generator.aclose() for generator in list(self._open)]
        await asyncio.gather(*closing, return_exceptions=True)

    def _drop(self, generator: AsyncGenerator[Any, None]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(_begin_to_close, self._loop, generator)


def _begin_to_close(loop: asyncio.AbstractEventLoop, generator: AsyncGenerator[Any, None]) -> None:
    loop.create_task(generator.aclose())
