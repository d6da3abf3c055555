"""The logging of a command."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentkeys.cli.ground import output

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["logged"]


@contextmanager
def logged(*, verbose: bool, traceback: bool = False) -> Iterator[None]:
    """Log on stderr: each request and all warnings if *verbose*, else our warnings.

    Args:
        verbose: whether to log everything.
        traceback: whether to show the tracebacks of the records.
    """
    root, ours = logging.getLogger(), logging.getLogger("agentkeys")
    handler = _Lines(traceback=traceback)
    silent = logging.NullHandler()
    before = ours.level
    ours.setLevel(logging.DEBUG if verbose else logging.WARNING)
    (root if verbose else ours).addHandler(handler)
    # Without a handler, logging itself prints the warnings of aiohttp and asyncio.
    root.addHandler(silent)
    try:
        yield
    finally:
        ours.setLevel(before)
        for logger in (root, ours):
            logger.removeHandler(handler)
        root.removeHandler(silent)


class _Lines(logging.Handler):
    """Prints each record by `output.note`: the message as one line, the traceback as more."""

    def __init__(self, *, traceback: bool) -> None:
        super().__init__()
        self._traceback = traceback

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  # the arguments do not fit the message
            message = f"{record.msg} {record.args!r}"
        output.note(message)
        if self._traceback and record.exc_info:
            for line in logging.Formatter().formatException(record.exc_info).splitlines():
                output.note(line)
