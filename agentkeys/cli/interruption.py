"""Ctrl-C and SIGTERM: what is under way is cancelled, cleans up, and then the command ends."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run_interruptibly"]

T = TypeVar("T")


class _InterruptedError(Exception):
    """A signal ended the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_interruptibly(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in an event loop; the first signal cancels it, a second one does not wait.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it.
        SystemExit: SIGTERM did; the exit code is 143, as a shell has it.

    """
    import asyncio

    try:
        return asyncio.run(_interruptible(coroutine))
    except _InterruptedError as interrupted:
        number = interrupted.number
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


async def _interruptible(coroutine: Coroutine[Any, Any, T]) -> T:
    import asyncio

    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(coroutine)
    came: list[int] = []

    def interrupt(number: int) -> None:
        came.append(number)
        loop.remove_signal_handler(number)  # the next one is not for us
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        # Not on Windows, nor in a thread: there asyncio's own way, and the system's, must do.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, interrupt, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not came:
            raise
    raise _InterruptedError(came[0])
