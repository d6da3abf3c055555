"""Ctrl-C, SIGTERM, SIGHUP: what is under way is cancelled, cleans up, and then the command ends.

A signal that the parent process ignores, as nohup does and a shell's `&`, stays ignored.
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
    """Return the exit code of a command that a signal ended, as a shell has it."""
    return 128 + number


@contextmanager
def signals_heard() -> Iterator[list[int]]:
    """End by an exception what would end without any clean-up; give the signals that came.

    Ctrl-C does so by itself. Without it, SIGTERM at a prompt would leave a terminal that does not
    echo.
    """
    came: list[int] = []

    def end(number: int, _: object) -> None:
        came.append(number)
        if _in_a_loop():  # which was told before, and takes too long
            _die(number)
        raise SystemExit(exit_code_of(number))

    before = {}
    for number in _SIGNALS:
        # Not in a thread, where Python hears no signals.
        with suppress(ValueError):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_interruptibly(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* in an event loop; the first signal cancels it, a second one does not wait.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it.
        SystemExit: SIGTERM or SIGHUP did.

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
        # The loop would leave the system's way, but has asyncio's own for Ctrl-C, which waits.
        if loop.remove_signal_handler(number) and number != signal.SIGINT:
            signal.signal(number, before[number])

    def interrupt(number: int) -> None:
        came.append(number)
        leave(number)  # the next one is not for us
        work.cancel()

    for number in _SIGNALS:
        # Not on Windows, nor in a thread: there asyncio's own way, and the system's, must do.
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
    raise SystemExit(exit_code_of(number))  # where the signal takes its time
