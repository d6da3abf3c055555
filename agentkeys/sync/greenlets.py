"""Event loops in greenlets, which gevent and eventlet use for all threads.

Greenlets share one thread of the system, and asyncio stores the running loop by that thread. So a
loop must not be the running one while it waits, because other greenlets run then.

This module is imported after threads are patched, because it needs the patched selector and lock.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Turn", "loop_in_a_greenlet"]

# Held by the loop that runs, also while code called by the loop waits.
_lock: Final = threading.Lock()
# Seconds to wait for it: the loop that holds it may wait for the loop that wants it.
_PATIENCE: Final = 0.2


class Turn:
    """The right of one loop to run; the code that runs the loop enters it."""

    def __init__(self) -> None:
        self._is_held = False
        self._outer: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        self._is_held = _lock.acquire(timeout=_PATIENCE)

    def __exit__(self, *_: object) -> None:
        if self._is_held:
            _lock.release()

    @contextmanager
    def given_away(self) -> Iterator[None]:
        """Let other loops run."""
        loop, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001  # asyncio's documentation, Extending
        asyncio._set_running_loop(self._outer)  # noqa: SLF001
        sys.set_asyncgen_hooks(None, None)
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()
            self._outer = asyncio._get_running_loop()  # noqa: SLF001
            asyncio._set_running_loop(loop)  # noqa: SLF001
            sys.set_asyncgen_hooks(*hooks)


class _Selector(selectors.DefaultSelector):
    def __init__(self, turn: Turn) -> None:
        super().__init__()
        self._turn = turn

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        with self._turn.given_away():
            return super().select(timeout)


def loop_in_a_greenlet() -> tuple[asyncio.AbstractEventLoop, Turn]:
    """Return a loop, and its turn."""
    turn = Turn()
    return asyncio.SelectorEventLoop(_Selector(turn)), turn
