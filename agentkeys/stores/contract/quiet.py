"""Keeps the loggers of a library silent while a store uses it: some of them log bodies."""

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
    """Drops what is logged by the code of a store, and nothing that the program's own code logs."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  # logging's
        return not _is_quiet.get()


_filter: Final = _Filter()


@contextlib.contextmanager
def quiet(prefixes: tuple[str, ...]) -> Iterator[None]:
    """Drop what these loggers and those below them log in this task or thread.

    A filter of a logger does not see what a logger below it logs, so each one gets the filter. The
    filter stays, for another task may be in here. Adding a filter twice does nothing.

    Args:
        prefixes: the names of loggers. A logger below them that is made later is not silent: name
            it as well.

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
