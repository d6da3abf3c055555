"""Blocking work of stores, in a thread that nobody waits for longer than they say."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from agentkeys import forks
from agentkeys.cancellation import outlast
from agentkeys.errors import UncertainStoreError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
Work: TypeAlias = "Callable[[threading.Event], T]"
"""It is given an event, and ends soon once that is set: its time is up, or it was cancelled."""

# Seconds that a thread has to end, once it was told to.
_GRACE: Final = 2.0


class Turn:
    """A lock for all threads of a process. A forked child has one of its own, which is free."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        forks.watch(self)

    def begin_afresh(self) -> object:
        """Forget a lock that a thread of the parent may have held."""
        inherited, self.lock = self.lock, threading.Lock()
        return inherited


class _Outcome(NamedTuple):
    # Never the exception of a future, which would be logged if nobody came for it.
    value: object
    error: BaseException | None


class AtWork:
    """The work of a store that goes on in threads, though nobody waits for it any more."""

    def __init__(self) -> None:
        self._left: list[asyncio.Future[_Outcome]] = []

    def __bool__(self) -> bool:
        self._left = [ended for ended in self._left if not ended.done()]
        return bool(self._left)

    def leave(self, ended: asyncio.Future[_Outcome]) -> None:
        """Take in that nobody waits for the end of it any more."""
        self._left.append(ended)


async def in_thread(
    work: Work[T], *, timeout: float, store: str, at_work: AtWork | None = None
) -> T:
    """Return what *work* does, in a thread of its own.

    A thread cannot be cancelled. So if the caller is, it is told to stop and waited for, and only
    then the cancellation goes on: what the caller does next meets no write that is half done.

    Args:
        work: what to do.
        timeout: seconds after which it is told to stop.
        store: where the secret lies, for the error.
        at_work: is told of a thread that goes on when nobody waits for it any more.

    Raises:
        UncertainStoreError: it did not end in time. Errors of *work* pass through.

    """
    stop = threading.Event()
    at_work = AtWork() if at_work is None else at_work
    ended = _started(work, stop)
    try:
        await asyncio.wait({ended}, timeout=timeout)
    finally:
        if not ended.done():
            stop.set()
            at_work.leave(ended)
            await outlast(ended, timeout=_GRACE)
    if not ended.done():
        raise UncertainStoreError(
            f"{store} did not answer within {timeout:g} s, and what it holds is not known:"
            " look there before you try again",
            store=store,
        )
    value, error = ended.result()
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # an outcome without an error has a T


def _started(work: Work[T], stop: threading.Event) -> asyncio.Future[_Outcome]:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[_Outcome] = loop.create_future()

    def settle(outcome: _Outcome) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def run() -> None:
        try:
            outcome = _Outcome(work(stop), None)
        except BaseException as error:  # noqa: BLE001  # it is raised where it is waited for
            outcome = _Outcome(None, error)
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    # Not the loop's executor, nor any thread that is joined at exit: one that hangs in a library
    # would keep the whole program from ending.
    threading.Thread(target=run, name="agentkeys-store", daemon=True).start()
    return ended
