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
    """Escape what the streams' encoding lacks, and let no byte of a secret get lost unnoticed.

    With PYTHONUNBUFFERED, what standard output did not take of a write is dropped without an error.
    """
    # It has no descriptor if the process was started with it closed, or if somebody captures it.
    with contextlib.suppress(AttributeError, OSError):
        encoding, descriptor = sys.stdout.encoding, sys.stdout.fileno()
        sys.stdout = open(  # noqa: SIM115  # a descriptor, for the life of the process
            descriptor, "w", encoding=encoding, errors="backslashreplace", closefd=False
        )


def _hear_of_children() -> None:
    """Learn how a program ends that was started, even if the parent process ignores SIGCHLD.

    Else the system keeps no exit status, and whether a store's program failed is not known.
    """
    # Windows has no SIGCHLD.
    if (number := getattr(signal, "SIGCHLD", None)) and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    main()
