"""Silence the loggers of a library while a store uses it: some of them log bodies."""

from __future__ import annotations

import contextlib
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]

_is_quiet: Final[ContextVar[bool]] = ContextVar("is_quiet", default=False)


class _Filter(logging.Filter):
    """Drops the records of a store's code, and none of the program's own code."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  # logging's
        return not _is_quiet.get()


_filter: Final = _Filter()


@contextlib.contextmanager
def quiet(prefixes: tuple[str, ...]) -> Iterator[None]:
    """Drop the records of these loggers and their children in this task or thread.

    A filter of a logger does not see the records of its children, so each logger gets the filter.
    The filter stays, because another task may need it. Adding a filter twice does nothing.

    Args:
        prefixes: the names of loggers. A child that is created later is not silent: name it too.
    """
    below = tuple(f"{prefix}." for prefix in prefixes)
    names = [name for name in [*logging.root.manager.loggerDict] if name.startswith(below)]
    for name in (*prefixes, *names):
        logging.getLogger(name).addFilter(_filter)
    token = _is_quiet.set(True)
    try:
        yield
    finally:
        _is_quiet.reset(token)
