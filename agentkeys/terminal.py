"""Restore the echo of a terminal, which a prompt for a password switches off."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

try:
    import termios
except ModuleNotFoundError:  # Windows, where a prompt does not switch the echo off
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["echo_kept", "restore_echo"]

_LOCAL_FLAGS: Final = 3  # the index of the local flags in termios
_kept: Final[list[int]] = []


@contextlib.contextmanager
def echo_kept() -> Iterator[None]:
    """Switch the echo on again at the end, if an unfinished prompt has switched it off.

    For a prompt in a thread: the thread cannot be ended, and its prompt would outlive its caller.
    """
    terminal = _opened()
    if terminal is None:
        yield
        return
    _kept.append(terminal)
    try:
        yield
    finally:
        _kept.remove(terminal)
        _switch_on(terminal)
        os.close(terminal)


def restore_echo() -> None:
    """Do now what each `echo_kept` would do at its end, for a process that is about to exit."""
    for terminal in _kept:
        _switch_on(terminal)


def _opened() -> int | None:
    """Open the terminal of this process, if it has one with the echo on."""
    if termios is None:
        return None
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        terminal = os.dup(0) if os.isatty(0) else -1
    if terminal < 0:
        return None
    if _echoes(terminal):
        return terminal
    os.close(terminal)
    return None


def _echoes(terminal: int) -> bool:
    try:
        return bool(termios.tcgetattr(terminal)[_LOCAL_FLAGS] & termios.ECHO)
    except termios.error:  # the terminal is closed
        return True


def _switch_on(terminal: int) -> None:
    # Only if it is off: another program may have set up the terminal in another way.
    if _echoes(terminal):
        return
    # A process in the background that does this with the signal unblocked is stopped.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    with contextlib.suppress(termios.error):
        attributes = termios.tcgetattr(terminal)
        attributes[_LOCAL_FLAGS] |= termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
