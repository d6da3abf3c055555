"""The command line: ``agentkeys``, or ``python -m agentkeys``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    try:
        from agentkeys.cli import commands
    except ModuleNotFoundError as missing:
        if missing.name != "click":
            raise
        sys.exit("Error: the command line needs click: pip install 'agentkeys-sdk[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    _show_what_cannot_be_encoded()
    commands.main()


def _show_what_cannot_be_encoded() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A stream is None if the process was started with it closed.
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is the interpreter's own


if __name__ == "__main__":
    main()
