"""Hooks into what Python reports in the whole process: logging, warnings, lost exceptions."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final

from agentkeys.testing import sightings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

    from agentkeys.testing.sightings import Sighting

__all__ = ["tap"]

_HIDDEN: Final = "_agentkeys_hidden"


def tap(see: Callable[[Iterable[Sighting]], None], test: str, patch: pytest.MonkeyPatch) -> None:
    """Call *see* with everything that is reported from now on, until *patch* is undone."""
    _tap_logging(see, test, patch)
    _tap_warnings(see, patch)
    _tap_lost_exceptions(see, test, patch)


def _tap_logging(
    see: Callable[[Iterable[Sighting]], None], test: str, patch: pytest.MonkeyPatch
) -> None:
    """See every record, whatever its logger's level, handlers and `propagate`.

    Records below the level are created, but no handler gets one, so nothing changes for others. The
    filters of the logger run first, because they may remove a secret.
    """
    is_enabled = logging.Logger.isEnabledFor
    make = logging.Logger.makeRecord
    call_handlers = logging.Logger.callHandlers

    def make_record(
        self: logging.Logger, name: str, level: int, *args: Any, **kwargs: Any
    ) -> logging.LogRecord:
        record = make(self, name, level, *args, **kwargs)
        if not is_enabled(self, level):
            setattr(record, _HIDDEN, True)  # filters may return a copy, which has it too
        return record

    def see_and_call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        is_hidden = vars(record).pop(_HIDDEN, False)
        see(sightings.of_record(record, test))
        if not is_hidden:
            call_handlers(self, record)

    patch.setattr(logging.Logger, "isEnabledFor", lambda _self, _level: True)
    patch.setattr(logging.Logger, "makeRecord", make_record)
    patch.setattr(logging.Logger, "callHandlers", see_and_call_handlers)


def _tap_warnings(see: Callable[[Iterable[Sighting]], None], patch: pytest.MonkeyPatch) -> None:
    # Not `showwarning`, which pytest.warns and catch_warnings replace: C and Python call this
    # function for every warning that passes the filters.
    show: Callable[[warnings.WarningMessage], None] = vars(warnings)["_showwarnmsg"]

    def see_and_show(message: warnings.WarningMessage) -> None:
        see([sightings.of_warning(message)])
        show(message)

    patch.setattr(warnings, "_showwarnmsg", see_and_show)


def _tap_lost_exceptions(
    see: Callable[[Iterable[Sighting]], None], test: str, patch: pytest.MonkeyPatch
) -> None:
    in_thread, unraisable = threading.excepthook, sys.unraisablehook

    def see_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            see(sightings.of_exception(args.exc_value, test, why=", which ended a thread"))
        in_thread(args)

    def see_unraisable(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            see(sightings.of_exception(args.exc_value, test, why=", which could not be raised"))
        unraisable(args)

    patch.setattr(threading, "excepthook", see_in_thread)
    patch.setattr(sys, "unraisablehook", see_unraisable)
