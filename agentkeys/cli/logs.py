"""What is logged while a command runs."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agentkeys.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["logged"]


@contextmanager
def logged(*, verbose: bool, traceback: bool = False) -> Iterator[None]:
    """Log on stderr: each request and everybody's warnings if *verbose*, else our warnings.

    Args:
        verbose: whether to log all of it.
        traceback: whether to show the tracebacks of the records.

    """
    root, ours = logging.getLogger(), logging.getLogger("agentkeys")
    handler = _Lines(traceback=traceback)
    silent = logging.NullHandler()
    before = ours.level
    ours.setLevel(logging.DEBUG if verbose else logging.WARNING)
    (root if verbose else ours).addHandler(handler)
    # With no handler at all, logging prints the warnings of aiohttp and asyncio by itself.
    root.addHandler(silent)
    try:
        yield
    finally:
        ours.setLevel(before)
        for logger in (root, ours):
            logger.removeHandler(handler)
        root.removeHandler(silent)


class _Lines(logging.Handler):
    """Prints each record by `output.note`: its message is one line, its traceback is more."""

    def __init__(self, *, traceback: bool) -> None:
        super().__init__()
        self._traceback = traceback

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  # its parts do not fit together
            message = f"{record.msg} {record.args!r}"
        output.note(message)
        if self._traceback and record.exc_info:
            for line in logging.Formatter().formatException(record.exc_info).splitlines():
                output.note(line)
