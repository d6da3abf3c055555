"""Run a program for the user, with or without a secret on its standard input.

The program gets no shell, no terminal, and none of our own credentials. It is killed at its time
limit.
"""

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
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from agentkeys import plain
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.masking import mask, telling
from agentkeys.secret import Secret

try:
    import fcntl
    import termios
except ModuleNotFoundError:
    raise ConfigurationError("running a program needs Linux, macOS or another POSIX") from None

if TYPE_CHECKING:
    import threading
    from typing import IO


__all__ = [
    "Ended",
    "NoCode",
    "checked",
    "failure",
    "is_for_programs",
    "parsed",
    "run",
    "with_what_was_said",
]

_PAUSE: Final = 0.01
"""Seconds between two checks whether the program has ended."""

_KEPT: Final = 4096
"""How many of the last bytes of a program's standard error are kept."""

_READ: Final = 65536
_SHOWN: Final = 200
_TELLING: Final = 5
"""The number of consecutive characters of a secret that a shown text may not hold."""

_NOT_FOR_PROGRAMS: Final = ("AGENTITY_", "AGENTRY_", "AGENTKEYS_SERVE_", "AGENTKEYS_ADMIN_")
"""Prefixes of the environment variables that hold our own credentials."""


class NoCode(enum.Enum):
    """Why a program has no exit code."""

    KILLED = "it did not end in time and was killed"
    UNKNOWN = (
        "its exit code is not known, because this process ignores SIGCHLD, or other code in it"
        " waits for all child processes"
    )


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        code: its exit code, or why there is none.
        said: the end of its standard error; it may hold the secret.
        unread: the number of bytes of the secret that it did not read.
    """

    code: int | NoCode
    said: Secret
    unread: int = 0


def parsed(command: str) -> list[str]:
    """Return a program and its arguments, split as a shell would.

    Raises:
        InvalidArgumentError: a quote is not closed.
    """
    try:
        return shlex.split(command)
    except ValueError as error:
        reason = str(error).lower()
    raise InvalidArgumentError(f"the command cannot be read: {reason}")


def checked(command: object) -> tuple[str, ...]:
    """Return a program, as an absolute path, and its arguments.

    Raises:
        ConfigurationError: the program does not exist.
        InvalidArgumentError: *command* is empty or not a list of str.
    """
    if isinstance(command, list | tuple) and all(isinstance(part, str) for part in command):
        parts = [plain.text(part) for part in command]
        if any(parts[:1]) and not any("\0" in part for part in parts):
            return (_found(parts[0]), *parts[1:])
    raise InvalidArgumentError("a command must be a list of str: the program, then its arguments")


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ConfigurationError(f"there is no program {program!r}: install it")
    return os.path.abspath(path)  # noqa: PTH100  # a Path would be converted to str again


def run(
    command: Sequence[str],
    stop: threading.Event,
    *,
    secret: Secret | None = None,
    more: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program until it ends; if *stop* is set, kill it with its process group.

    Args:
        command: the program and its arguments.
        stop: an event that says that the time is up.
        secret: the text for its standard input, or None.
        more: environment variables for the program, besides the caller's.

    Raises:
        OSError: it cannot be run.
    """
    with _pipe_with(secret or Secret("")) as pipe:
        ended = _ended(command, pipe, stop, more or {})
        return ended._replace(unread=_unread(pipe))


def _ended(
    command: Sequence[str], pipe: int, stop: threading.Event, more: Mapping[str, str]
) -> Ended:
    # A session of its own: no terminal that it could wait at, and one process group to kill.
    with subprocess.Popen(  # noqa: S603  # the user asked for this program
        command,
        stdin=pipe,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**_environment(), **more},
    ) as process:
        return _awaited(process, stop)


@contextlib.contextmanager
def _pipe_with(secret: Secret) -> Iterator[int]:
    """Return the read end of a pipe that holds the whole secret and has no writer."""
    pipe, source = os.pipe()
    try:
        try:
            # Not blocking, because nothing reads yet: a pipe holds about 64 KiB.
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


def _awaited(process: subprocess.Popen[bytes], stop: threading.Event) -> Ended:
    stderr = cast("IO[bytes]", process.stderr)
    os.set_blocking(stderr.fileno(), False)
    said = Secret("")
    while (code := _exit_code(process)) is None:
        said = _heard(said, stderr)
        if stop.wait(_PAUSE):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return Ended(NoCode.KILLED, said)
    return Ended(code, _heard(said, stderr))


def _exit_code(process: subprocess.Popen[bytes]) -> int | NoCode | None:
    """Return how a program ended, or None if it runs.

    `Popen.poll` returns 0 if the system no longer knows the exit code.
    """
    try:
        pid, status = os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        process.returncode = (
            0  # do not wait for it again: another process may have its number by now
        )
        return NoCode.UNKNOWN
    if pid == 0:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


def _environment() -> dict[str, str]:
    """Return the environment of a program: the user's, without our credentials."""
    return {name: value for name, value in os.environ.items() if is_for_programs(name)}


def is_for_programs(name: str) -> bool:
    """Return whether a program may receive a variable: not if it holds our credentials."""
    return not name.startswith(_NOT_FOR_PROGRAMS)


def _heard(said: Secret, stderr: IO[bytes]) -> Secret:
    """Return the end of the standard error, with its new bytes. It may hold the secret."""
    with contextlib.suppress(BlockingIOError):
        come = os.read(stderr.fileno(), _READ).decode(errors="replace")
        return Secret((said.reveal() + come)[-_KEPT:])
    return said


def failure(ended: Ended) -> str:
    """Return why a program failed, or ""."""
    if isinstance(ended.code, NoCode):
        return ended.code.value
    if ended.code > 0:
        return f"it exited with code {ended.code}"
    if ended.code < 0:
        return f"it was killed by signal {-ended.code}"
    return "it ended without reading the secret on its standard input" if ended.unread else ""


def with_what_was_said(reason: str, said: Secret, secret: Secret | None = None) -> str:
    """Add the last line of the standard error, unless the output holds a piece of the secret."""
    lines = said.reveal().strip().splitlines()
    if not lines:
        return reason
    if secret and telling([secret], _TELLING)(said.reveal()):
        return f"its error output is left out, because it holds a part of the secret; {reason}"
    printable = "".join(c if c.isprintable() else " " for c in lines[-1])
    return f"{reason}. Its error output: {mask(printable[-_SHOWN:])}"
