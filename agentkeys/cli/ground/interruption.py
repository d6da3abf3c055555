"""Ctrl-C, SIGTERM, SIGHUP: cancel the work, let it clean up, and end the command.

A signal that the parent process ignores, as nohup and a shell's `&` do, stays ignored.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from agentkeys import terminal

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

__all__ = ["exit_code_of", "run_interruptibly", "signals_heard"]

T = TypeVar("T")

# Windows has no SIGHUP.
_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class _InterruptedError(Exception):
    """A signal ended the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code_of(number: int) -> int:
    """Return the exit code of a command that a signal ended, as in a shell."""
    return 128 + number


@contextmanager
def signals_heard() -> Iterator[list[int]]:
    """Raise an exception for signals that would end the process; yield the received signals.

    Ctrl-C raises one by default. Without this, SIGTERM at a prompt would leave a terminal without
    echo.
    """
    came: list[int] = []

    def end(number: int, _: object) -> None:
        came.append(number)
        if _in_a_loop():  # the loop was told first, and takes too long
            _die(number)
        raise SystemExit(exit_code_of(number))

    before = {}
    for number in _SIGNALS:
        # Not in a thread, where Python receives no signals.
        with suppress(ValueError):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_interruptibly(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in an event loop; the first signal cancels it, a second one ends it at once.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it.
        SystemExit: SIGTERM or SIGHUP ended it.
    """
    import asyncio

    try:
        return asyncio.run(_interruptible(coroutine))
    except _InterruptedError as interrupted:
        number = interrupted.number
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(exit_code_of(number))


async def _interruptible(coroutine: Coroutine[Any, Any, T]) -> T:
    import asyncio

    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(coroutine)
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def leave(number: int) -> None:
        # Removing the loop's handler leaves asyncio's own for Ctrl-C, which waits.
        if loop.remove_signal_handler(number) and number != signal.SIGINT:
            signal.signal(number, before[number])

    def interrupt(number: int) -> None:
        came.append(number)
        leave(number)  # the next signal is not for this handler
        work.cancel()

    for number in _SIGNALS:
        # Not on Windows, nor in a thread: asyncio's own handling, and the system's, must do there.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            if before[number] is not signal.SIG_IGN:
                loop.add_signal_handler(number, interrupt, number)
    try:
        return await work
    except asyncio.CancelledError:
        if not came:
            raise
    finally:
        for number in _SIGNALS:
            with suppress(NotImplementedError):
                leave(number)
    raise _InterruptedError(came[0])


def _in_a_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and bool(asyncio.get_running_loop())
    except RuntimeError:
        return False


def _die(number: int) -> NoReturn:
    terminal.restore_echo()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(exit_code_of(number))  # if the signal is delayed
