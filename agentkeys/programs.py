"""Runs a program of the user's: with a secret on its standard input, or without any.

It gets no shell, no terminal, and none of our own credentials; and it ends when its time is up.
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
"""Seconds between two looks at whether the program has ended."""

_KEPT: Final = 4096
"""Bytes that are kept of what a program says on its standard error: the last ones."""

_READ: Final = 65536
_SHOWN: Final = 200
_TELLING: Final = 5
"""Characters of a secret in a row that a text may not hold to be shown."""

_NOT_FOR_PROGRAMS: Final = ("AGENTITY_", "AGENTRY_", "AGENTKEYS_SERVE_", "AGENTKEYS_ADMIN_")
"""What the names of variables begin with that hold our own credentials."""


class NoCode(enum.Enum):
    """Why a program has no exit code."""

    KILLED = "it did not end in time and was killed"
    UNKNOWN = (
        "how it ended cannot be known, for this process ignores SIGCHLD, or something else in it"
        " waits for all child processes"
    )


class Ended(NamedTuple):
    """How a program ended.

    Attributes:
        code: its exit code, or why there is none.
        said: the end of what it said on its standard error; it may hold the secret.
        unread: how many bytes of the secret it did not read.
    """

    code: int | NoCode
    said: Secret
    unread: int = 0


def parsed(command: str) -> list[str]:
    """Return a program and its arguments, quoted as in a shell.

    Raises:
        InvalidArgumentError: a quote is not closed.

    """
    try:
        return shlex.split(command)
    except ValueError as error:
        reason = str(error).lower()
    raise InvalidArgumentError(f"the command cannot be read: {reason}")


def checked(command: object) -> tuple[str, ...]:
    """Return a program, by its whole path, and its arguments.

    Raises:
        ConfigurationError: there is no such program.
        InvalidArgumentError: *command* is no list of str, or empty.

    """
    if isinstance(command, list | tuple) and all(isinstance(part, str) for part in command):
        parts = [plain.text(part) for part in command]
        if any(parts[:1]) and not any("\0" in part for part in parts):
            return (_found(parts[0]), *parts[1:])
    raise InvalidArgumentError("a command is a list of str: the program, then its arguments")


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ConfigurationError(f"there is no program {program!r}: install it")
    return os.path.abspath(path)  # noqa: PTH100  # a Path would be made str again


def run(
    command: Sequence[str],
    stop: threading.Event,
    *,
    secret: Secret | None = None,
    more: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program until it ends, or until *stop* is set: then it is killed with its group.

    Args:
        command: the program and its arguments.
        stop: says that its time is up.
        secret: what it reads on its standard input, if anything.
        more: what its environment has besides the caller's own.

    Raises:
        OSError: it cannot be run.

    """
    with _pipe_with(secret or Secret("")) as pipe:
        ended = _ended(command, pipe, stop, more or {})
        return ended._replace(unread=_unread(pipe))


def _ended(
    command: Sequence[str], pipe: int, stop: threading.Event, more: Mapping[str, str]
) -> Ended:
    # A session of its own: no terminal to wait at, and one group to kill.
    with subprocess.Popen(  # noqa: S603  # to run it is what the user asks for
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
    """Return how a program ended, or None if it has not.

    `Popen.poll` says 0 when the system no longer knows.
    """
    try:
        pid, status = os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        process.returncode = 0  # nobody is to wait for it: its number may be another's by now
        return NoCode.UNKNOWN
    if pid == 0:
        return None
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode


def _environment() -> dict[str, str]:
    """Return what a program gets: all that the user has set, but for our credentials."""
    return {name: value for name, value in os.environ.items() if is_for_programs(name)}


def is_for_programs(name: str) -> bool:
    """Return whether a program may have a variable: not if it holds our own credentials."""
    return not name.startswith(_NOT_FOR_PROGRAMS)


def _heard(said: Secret, stderr: IO[bytes]) -> Secret:
    """Return the end of what was said, with what has come since. It may hold the secret."""
    with contextlib.suppress(BlockingIOError):
        come = os.read(stderr.fileno(), _READ).decode(errors="replace")
        return Secret((said.reveal() + come)[-_KEPT:])
    return said


def failure(ended: Ended) -> str:
    """Return what is wrong with how a program ended, or nothing."""
    if isinstance(ended.code, NoCode):
        return ended.code.value
    if ended.code > 0:
        return f"it ended with {ended.code}"
    if ended.code < 0:
        return f"it ended by signal {-ended.code}"
    return "it ended without reading the secret on its standard input" if ended.unread else ""


def with_what_was_said(reason: str, said: Secret, secret: Secret | None = None) -> str:
    """Add the last line of what was said, unless a piece of the secret is in it all."""
    lines = said.reveal().strip().splitlines()
    if not lines:
        return reason
    if secret and telling([secret], _TELLING)(said.reveal()):
        return f"what it said is left out, for a part of the secret is in it; {reason}"
    printable = "".join(c if c.isprintable() else " " for c in lines[-1])
    return f"{reason}. It said: {mask(printable[-_SHOWN:])}"
