"""Report a call and its tries to observers. Without observers, a call skips all of it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from agentkeys.observers import Observer, Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentkeys.errors import Applied
    from agentkeys.observers import Call

__all__ = ["LOG", "Watch", "watched"]

T = TypeVar("T")

logger: Final = logging.getLogger("agentkeys")

_complained: Final[set[tuple[type, type]]] = set()
"""Pairs of an observer's type and its error's type that are logged already, once each."""


class Watch:
    """Reports one call to its observers.

    Args:
        observers: the observers.
        call: the call.
    """

    def __init__(self, observers: tuple[Observer, ...], call: Call) -> None:
        self._observers = observers
        self._call = call
        self._begun = self._try_begun = time.perf_counter()
        self._last = Outcome(0, 0.0, None, None, None, "no")
        self._report("begin_call", call)

    def begin_try(self, number: int) -> None:
        """Report that a try begins."""
        self._try_begun = time.perf_counter()
        self._report("begin_try", self._call, number)

    def end_try(
        self,
        number: int,
        error: BaseException | None,
        applied: Applied,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        """Report how the current try ended."""
        seconds = time.perf_counter() - self._try_begun
        self._last = Outcome(number, seconds, status, _named(error), request_id, applied)
        self._report("end_try", self._call, self._last)

    def end_call(self, tries: int, error: BaseException | None, applied: Applied) -> None:
        """Report how the call ended."""
        seconds, last = time.perf_counter() - self._begun, self._last
        outcome = Outcome(tries, seconds, last.status, _named(error), last.request_id, applied)
        self._report("end_call", self._call, outcome)

    def _report(self, what: str, *facts: object) -> None:
        for observer in self._observers:
            try:
                getattr(observer, what)(*facts)
            except Exception as error:  # noqa: BLE001  # an observer may be third-party code
                complaint = type(observer), type(error)
                if complaint not in _complained:
                    _complained.add(complaint)
                    logger.warning(
                        "the observer %s failed with %s; its calls continue",
                        complaint[0].__name__,
                        complaint[1].__name__,
                    )


async def watched(call: Coroutine[Any, Any, T], watch: Watch, progress: _Progress) -> T:
    """Make a call, and report how it ended."""
    try:
        result = await call
    except BaseException as error:
        watch.end_call(progress.attempts, error, progress.applied)
        raise
    watch.end_call(progress.attempts, None, "yes")
    return result


class _Progress(Protocol):
    """The progress of a call; see `agentkeys.transport.call.progress.Progress`."""

    @property
    def attempts(self) -> int: ...

    @property
    def applied(self) -> Applied: ...


def _named(error: BaseException | None) -> str | None:
    return None if error is None else type(error).__name__


class _Log(Observer):
    """Log each try at DEBUG; the record has the line's fields as extra attributes."""

    def end_try(self, call: Call, outcome: Outcome) -> None:
        fields = outcome.fields() | {
            "service": call.service,
            "method": call.method,
            "route": call.route,
        }
        logger.debug(
            "%s %s: %s in %.1f ms, try %d, request id %s",
            call.method,
            call.route,
            outcome.error if outcome.status is None else outcome.status,
            outcome.seconds * 1000,
            outcome.tries,
            outcome.request_id,
            extra=fields,
        )


LOG: Final = _Log()
"""The observer that writes to the logger ``agentkeys``."""
