"""Python programs in processes of their own, for signals, forks and exits."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import signal

PATIENCE = 30.0
# CPython 3.12.0 and 3.12.1 (python/cpython#113964).
NO_THREADS_AT_EXIT = (3, 12) <= sys.version_info < (3, 12, 2)
"""Seconds after which a program is killed: what it should have done it never will."""

HEED_SIGNALS = """
import signal as _signal
for _name, _handler in {"SIGINT": _signal.default_int_handler, "SIGHUP": _signal.SIG_DFL}.items():
    if hasattr(_signal, _name):
        _signal.signal(getattr(_signal, _name), _handler)
"""
"""The beginning of a program that gets signals. Whoever started the tests may ignore them, as a
shell does for what runs in the background, and a program begins with what its parent ignores."""


class Ended(NamedTuple):
    """How a program ended; `seconds` is counted from the last line that was read of it."""

    code: int
    out: list[str]
    err: str
    seconds: float


class Program:
    """A program whose lines arrive as it prints them. A warning in it is an error."""

    def __init__(self, code: str, *args: str) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-u",
                "-c",
                HEED_SIGNALS + textwrap.dedent(code),
                *args,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._watchdog = threading.Timer(PATIENCE, self._process.kill)
        self._watchdog.start()
        self._read_at = time.monotonic()

    def read(self) -> str:
        """Wait for a line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._read_at = time.monotonic()
        if not line:
            raise AssertionError(f"it ended: {self.end()}")
        return line.rstrip("\n")

    def tell(self, line: str = "") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> Ended:
        """Wait for its end."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        out, err = self._process.stdout.read(), self._process.stderr.read()
        code = self._process.wait()
        return Ended(code, out.splitlines(), err, time.monotonic() - self._read_at)

    def kill(self) -> None:
        self._watchdog.cancel()
        with self._process:
            self._process.kill()


def printed_by(code: str) -> str:
    """Return what a short program prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def loaded_by(code: str) -> set[str]:
    """Return the modules that a program has loaded in the end."""
    return set(printed_by(f"{code}\nimport sys\nprint(*sys.modules)").split())
