"""Run the blocking work of stores in threads, with a time limit for the caller."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable  # a program that asks for the hints of a store needs these
from typing import Any, TypeVar

from agentkeys import forks, threads
from agentkeys.errors import StoreError, UncertainStoreError
from agentkeys.threads import Work

__all__ = ["AtWork", "Turn", "in_thread"]

T = TypeVar("T")


class Turn:
    """A lock for all threads of a process. A forked child has its own lock, which is free."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        forks.watch(self)

    def begin_afresh(self) -> object:
        """Replace the lock in a forked child, because a thread of the parent may have held it."""
        inherited, self.lock = self.lock, threading.Lock()
        return inherited


class AtWork:
    """The base class of a store whose work blocks, and so runs in threads.

    A thread continues when the call that waits for it is cancelled. If `is_at_work` is True then,
    `issue` keeps the key of an interrupted write. If it is False, `issue` reads the store, and so
    knows the result.
    """

    def __init__(self) -> None:
        self._left: list[asyncio.Future[Any]] = []

    @property
    def is_at_work(self) -> bool:
        """Whether a thread that nobody waits for any more may still write."""
        self._left = [ended for ended in self._left if not ended.done()]
        return bool(self._left)

    async def _waited_for(self, work: Work[T], *, timeout: float, store: str) -> T:
        """Run *work* in a thread, as `in_thread` does. For subclasses."""
        return await in_thread(work, timeout=timeout, store=store, on_leaving=self._left.append)


async def in_thread(
    work: Work[T],
    *,
    timeout: float,
    store: str,
    on_leaving: Callable[[asyncio.Future[Any]], object] | None = None,
) -> T:
    """Run *work* in a thread of its own, and return its result.

    A thread cannot be cancelled. If the call is cancelled or late, the work is told to stop, and
    the call waits for it for two seconds at most.

    Args:
        work: a function of a `threading.Event`. It ends soon after the event is set: before it
            changes anything, or when it has finished a change.
        timeout: seconds after which the work is told to stop.
        store: the place of the secret, for the error.
        on_leaving: called with a future that is done when the stopped work has ended.

    Raises:
        UncertainStoreError: the work did not end in time. Errors of *work* are raised unchanged.
        StoreError: no thread can be started; no work was started.
    """
    # Context variables of this call hold in its thread too, e.g. which loggers are silent.
    context = contextvars.copy_context()
    try:
        return await threads.in_thread(
            lambda stop: context.run(work, stop), timeout=timeout, on_leaving=on_leaving
        )
    except threads.LateError:
        error: StoreError = UncertainStoreError(
            f"{store} did not answer within {timeout:g} s, and its content is not known:"
            " check it before you try again",
            store=store,
        )
    except threads.NoThreadError as failure:
        error = StoreError(f"cannot use {store}: {failure.strerror}", store=store)
    raise error
