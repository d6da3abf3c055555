"""Blocking work of stores, in a thread that nobody waits for longer than they say."""

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
    """A lock for all threads of a process. A forked child has one of its own, which is free."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        forks.watch(self)

    def begin_afresh(self) -> object:
        """Forget a lock that a thread of the parent may have held."""
        inherited, self.lock = self.lock, threading.Lock()
        return inherited


class AtWork:
    """The base of a store whose work blocks, and so is done in threads.

    A thread goes on when the call that waits for it is cancelled. `is_at_work` says so, and then
    `issue` keeps the key of a write that was cut off. If no thread goes on, `issue` looks into the
    store, and knows.
    """

    def __init__(self) -> None:
        self._left: list[asyncio.Future[Any]] = []

    @property
    def is_at_work(self) -> bool:
        """Whether a thread may still write that nobody waits for any more."""
        self._left = [ended for ended in self._left if not ended.done()]
        return bool(self._left)

    async def _waited_for(self, work: Work[T], *, timeout: float, store: str) -> T:
        """Return what *work* does in a thread, as `in_thread` does. It is for the subclass."""
        return await in_thread(work, timeout=timeout, store=store, on_leaving=self._left.append)


async def in_thread(
    work: Work[T],
    *,
    timeout: float,
    store: str,
    on_leaving: Callable[[asyncio.Future[Any]], object] | None = None,
) -> T:
    """Return what *work* does, in a thread that nothing else waits for.

    A thread cannot be cancelled. If the call is cancelled or late, the work is told to stop and
    waited for, for two seconds at most.

    Args:
        work: what to do. It is given a `threading.Event`, and ends soon once that is set: before it
            changes anything, or after it has.
        timeout: seconds after which it is told to stop.
        store: where the secret lies, for the error.
        on_leaving: gets a future that is done when work has ended that was told to stop.

    Raises:
        UncertainStoreError: it did not end in time. Errors of *work* pass through.
        StoreError: no thread can be started, and nothing was begun.

    """
    # What is said of this call holds in its thread, too: which loggers are silent, say.
    context = contextvars.copy_context()
    try:
        return await threads.in_thread(
            lambda stop: context.run(work, stop), timeout=timeout, on_leaving=on_leaving
        )
    except threads.LateError:
        error: StoreError = UncertainStoreError(
            f"{store} did not answer within {timeout:g} s, and what it holds is not known:"
            " look there before you try again",
            store=store,
        )
    except threads.NoThreadError as failure:
        error = StoreError(f"cannot use {store}: {failure.strerror}", store=store)
    raise error
