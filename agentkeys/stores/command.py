"""A store that is a program: it reads the secret on its standard input."""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, cast

from agentkeys import plain
from agentkeys.errors import (
    ConfigurationError,
    InvalidArgumentError,
    StoreError,
    UncertainStoreError,
)
from agentkeys.masking import mask, telling
from agentkeys.secret import Secret
from agentkeys.stores.contract import ANY, Expected, Stored, Version
from agentkeys.stores.contract.checks import check_secret, check_timeout
from agentkeys.stores.contract.threads import in_thread

try:
    import fcntl
    import termios
except ModuleNotFoundError:
    raise ConfigurationError("the command store needs Linux, macOS or another POSIX") from None

if TYPE_CHECKING:
    import threading
    from typing import IO


__all__ = ["CommandStore"]

_PAUSE: Final = 0.01
"""Seconds between two looks at whether the program has ended."""

_KEPT: Final = 4096
"""Bytes that are kept of what a program says on its standard error: the last ones."""

_READ: Final = 65536
_SHOWN: Final = 200
_UNKNOWN: Final = ", and whether it has kept the secret is not known"
_TELLING: Final = 5
"""Characters of a secret in a row that a text may not hold to be shown."""


_NOT_FOR_PROGRAMS: Final = ("AGENTITY_", "AGENTRY_")
"""What the names of variables begin with that hold our own credentials."""


class _NoCode(enum.Enum):
    """Why a program has no exit code."""

    KILLED = "it did not end in time and was killed"
    UNKNOWN = (
        "how it ended cannot be known, for this process ignores SIGCHLD, or something else in it"
        " waits for all child processes"
    )


class _Ended(NamedTuple):
    """How a program ended: its exit code, or why there is none; and what it said."""

    code: int | _NoCode
    said: Secret


class CommandStore:
    """A secret that a program of yours keeps: ``gh secret set``, ``kubectl``, ``op``, ``vault``.

    The program gets the secret on its standard input, without a line end, and never as an argument
    or in its environment. It runs without a shell and without a terminal, and with your environment
    but for ``AGENTITY_*`` and ``AGENTRY_*``. It has kept the secret if it has read it and ends with
    0. What it prints is not shown. If it fails, its last line on the
    standard error is, unless there is a piece of the secret in what it said.

    The store is write-only: what the program keeps cannot be read, compared or removed.

    Args:
        command: the program and its arguments. Put no secret into them: others can see them.
        timeout: seconds after which the program is killed, with all that it has started.

    Raises:
        ConfigurationError: there is no such program.
        InvalidArgumentError: *command* is no list of str, or empty.

    """

    readable = False

    def __init__(self, command: Sequence[str], *, timeout: float = 30.0) -> None:
        program, *arguments = _checked(command)
        self._command = (_found(program), *arguments)
        self._timeout = check_timeout(timeout)
        self.address = f"command:{shlex.join(self._command)}"

    async def probe(self) -> None:
        """Look whether the program is there: nobody knows what else it would do.

        Raises:
            StoreError: it is not there any more.

        """
        if shutil.which(self._command[0]) is None:
            raise self._error("it is not there any more")

    async def read(self) -> Stored:
        """Raise `StoreError`: the store is write-only."""
        self._refuse("what it keeps cannot be read")

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Run the program with *secret* on its standard input.

        Raises:
            StoreError: the program did not end with 0, or did not read the secret, or not in time;
                or something else than `ANY` was expected, and it was not run.

        """
        check_secret(secret)
        if expected is not ANY:
            self._refuse("what it holds is not known, so nothing but ANY can be expected")
        await in_thread(
            lambda stop: self._run(secret, stop), timeout=self._timeout, store=self.describe()
        )
        return Version.of(secret)

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Raise `StoreError`: the store is write-only."""
        del expected
        self._refuse("what it keeps cannot be removed")

    def describe(self) -> str:
        """Return where the secret lies: no more than the program's name is known."""
        return f"the keeping of {self._command[0]}"

    def __repr__(self) -> str:
        return f"CommandStore({list(self._command)!r})"

    def _run(self, secret: Secret, stop: threading.Event) -> None:
        try:
            with _pipe_with(secret) as pipe:
                ended = self._ended(pipe, stop)
                reason = _failure(ended, unread=_unread(pipe))
        except OSError as error:
            reason = f"it cannot be run: {error.strerror or type(error).__name__}"
            ended = _Ended(0, Secret(""))
        if reason:
            # Of one that was killed, or whose status is lost, nobody knows what it has done.
            kind = UncertainStoreError if isinstance(ended.code, _NoCode) else StoreError
            raise self._error(_with_what_was_said(reason, ended.said, secret), kind)

    def _ended(self, pipe: int, stop: threading.Event) -> _Ended:
        # A session of its own: no terminal to wait at, and one group to kill.
        with subprocess.Popen(  # noqa: S603  # to run it is what the user asks for
            self._command,
            stdin=pipe,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=_environment(),
        ) as process:
            return _awaited(process, stop)

    def _refuse(self, reason: str) -> NoReturn:
        raise self._error(f"the store is write-only: {reason}")

    def _error(self, reason: str, kind: type[StoreError] = StoreError) -> StoreError:
        return kind(f"{self._command[0]}: {reason}", store=self.describe())


@contextlib.contextmanager
def _pipe_with(secret: Secret) -> Iterator[int]:
    """Give the end of a pipe that is read, with the whole secret in it and nobody who writes."""
    pipe, source = os.pipe()
    try:
        try:
            # Not blocking, for nobody reads yet: a pipe holds 64 KiB or so.
            os.set_blocking(source, False)
            written = os.write(source, secret.reveal().encode())
        finally:
            os.close(source)
        if written < len(secret.reveal().encode()):
            raise OSError(errno.EMSGSIZE, "the secret is longer than a pipe holds")
        yield pipe
    finally:
        os.close(pipe)


def _unread(pipe: int) -> int:
    """Return how many bytes of the secret are still in the pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def _awaited(process: subprocess.Popen[bytes], stop: threading.Event) -> _Ended:
    stderr = cast("IO[bytes]", process.stderr)
    os.set_blocking(stderr.fileno(), False)
    said = Secret("")
    while (code := _exit_code(process)) is None:
        said = _heard(said, stderr)
        if stop.wait(_PAUSE):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return _Ended(_NoCode.KILLED, said)
    return _Ended(code, _heard(said, stderr))


def _exit_code(process: subprocess.Popen[bytes]) -> int | _NoCode | None:
    """Return how a program ended, or None if it has not.

    `Popen.poll` says 0 when the system no longer knows.
    """
    try:
        pid, status = os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        process.returncode = 0  # nobody is to wait for it: its number may be another's by now
        return _NoCode.UNKNOWN
    if pid == 0:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


def _environment() -> dict[str, str]:
    """Return what a program gets: all that the user has set, but for our credentials."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_NOT_FOR_PROGRAMS)}


def _heard(said: Secret, stderr: IO[bytes]) -> Secret:
    """Return the end of what was said, with what has come since. It may hold the secret."""
    with contextlib.suppress(BlockingIOError):
        come = os.read(stderr.fileno(), _READ).decode(errors="replace")
        return Secret((said.reveal() + come)[-_KEPT:])
    return said


def _failure(ended: _Ended, *, unread: int) -> str:
    """Return what is wrong with how a program ended, or nothing."""
    if isinstance(ended.code, _NoCode):
        return f"{ended.code.value}{_UNKNOWN}"
    if ended.code:
        how = f"with {ended.code}" if ended.code > 0 else f"by signal {-ended.code}"
        return f"it ended {how}{_UNKNOWN}"
    return "it ended without reading the secret on its standard input" if unread else ""


def _with_what_was_said(reason: str, said: Secret, secret: Secret) -> str:
    """Add the last line of what was said, unless a piece of the secret is in it all."""
    lines = said.reveal().strip().splitlines()
    if not lines:
        return reason
    if telling([secret], _TELLING)(said.reveal()):
        return f"what it said is left out, for a part of the secret is in it; {reason}"
    printable = "".join(c if c.isprintable() else " " for c in lines[-1])
    return f"{reason}. It said: {mask(printable[-_SHOWN:])}"


def _checked(command: object) -> list[str]:
    if isinstance(command, list | tuple) and all(isinstance(part, str) for part in command):
        parts = [plain.text(part) for part in command]
        if any(parts[:1]) and not any("\0" in part for part in parts):
            return parts
    raise InvalidArgumentError("a command is a list of str: the program, then its arguments")


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ConfigurationError(f"there is no program {program!r} to keep a secret: install it")
    return os.path.abspath(path)  # noqa: PTH100  # a Path would be made str again
