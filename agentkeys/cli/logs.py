"""What is logged while a command runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

__all__ = ["logged"]


@contextmanager
def logged(*, verbose: bool) -> Iterator[None]:
    """Log on stderr: each request and everybody's warnings if *verbose*, else our warnings."""
    import logging

    root, ours = logging.getLogger(), logging.getLogger("agentkeys")
    handler = logging.StreamHandler()
    silent = logging.NullHandler()
    if not verbose:
        handler.addFilter(_without_traceback)
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


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True
