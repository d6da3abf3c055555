"""The command line: ``agentkeys``, or ``python -m agentkeys``."""

from __future__ import annotations

import contextlib
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    try:
        from agentkeys.cli import commands
    except ModuleNotFoundError as missing:
        if missing.name != "click":
            raise
        sys.stderr.write("Error: the command line needs click: pip install 'agentkeys-sdk[cli]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    _prepare_streams()
    _hear_of_children()
    commands.main()


def _prepare_streams() -> None:
    """Escape characters that the streams cannot encode, and make a lost write of output an error.

    With PYTHONUNBUFFERED, the part of a write that standard output does not accept is lost without
    an error.
    """
    # There is no descriptor if the process started with it closed, or if a test captures it.
    with contextlib.suppress(AttributeError, OSError):
        encoding, descriptor = sys.stdout.encoding, sys.stdout.fileno()
        sys.stdout = open(  # noqa: SIM115  # a descriptor, for the life of the process
            descriptor, "w", encoding=encoding, errors="backslashreplace", closefd=False
        )


def _hear_of_children() -> None:
    """Reset SIGCHLD if the parent process ignores it, so that the exit status of programs is known.

    Without this, the system keeps no exit status, so a failure of a store's program is not noticed.
    """
    # Windows has no SIGCHLD.
    if (number := getattr(signal, "SIGCHLD", None)) and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
