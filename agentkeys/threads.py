"""Threads for work that cannot be interrupted, so that nobody has to wait for them.

Python joins the threads of an executor when its loop ends, and once more when the process exits. So
a single name server that does not answer would hold up both, long after the call has ended.
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

from agentkeys import forks

__all__ = ["Daemons"]

Job: TypeAlias = Callable[[], object]

_THREADS: Final = 16


class Daemons:
    """Does jobs on up to 16 daemon threads, each of which ends when there is nothing to do.

    It takes no lock: a signal handler or a finalizer may come between any two steps, and make a
    blocking call that waits for a job of its own. Each step on a deque is atomic.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._begin()
        forks.watch(self)

    def do(self, job: Job) -> None:
        """Have *job* done; it must not raise. If all threads are stuck, it waits for one.

        Raises:
            OSError: no thread is there to do it, and none can be started.

        """
        self._jobs.append(job)
        try:
            self._permits.pop()
        except IndexError:  # all are busy, and look for more to do before they end
            return
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:  # there are too many, or the interpreter exits
            self._permits.append(None)
        else:
            return
        # Not done here: it would hold up a whole loop, and nothing could end it.
        with suppress(ValueError):  # a busy thread has taken it by now
            self._jobs.remove(job)
            raise OSError(errno.EAGAIN, "no more threads can be started")

    def begin_afresh(self) -> object:
        """Leave the jobs to the parent of a forked child, which has none of the threads."""
        inherited = (self._jobs, self._permits)
        self._begin()
        return inherited

    def _begin(self) -> None:
        self._jobs: deque[Job] = deque()
        self._permits: deque[None] = deque((None,) * _THREADS)

    def _work(self) -> None:
        while True:
            with suppress(IndexError):
                while True:
                    self._jobs.popleft()()
            self._permits.append(None)
            # Whatever came before that found no permit, so somebody must take one for it.
            if not self._jobs:
                return
            try:
                self._permits.pop()
            except IndexError:
                return
