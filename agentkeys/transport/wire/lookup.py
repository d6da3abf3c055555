"""Look up host names, in threads that nothing has to wait for.

The system's `getaddrinfo` cannot be interrupted, and takes many seconds if no name server answers.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias, cast

from aiohttp.resolver import ThreadedResolver

from agentkeys import forks
from agentkeys.threads import Daemons, Outcome, deliver

__all__ = ["Resolver"]

# Seconds after which a lookup is started anew, because the network may have changed. Until then,
# all callers wait for the same lookup, so that one name without an answer does not use up the
# threads.
_FRESH: Final = 5.0

Question: TypeAlias = Callable[[], Any]


class Resolver(ThreadedResolver):
    """aiohttp's resolver, on our threads: Python joins the threads of a loop's executor at exit."""

    def __init__(self) -> None:
        super().__init__(cast("asyncio.AbstractEventLoop", _Loop()))


class _Loop:
    """The part of an event loop that aiohttp's resolver uses."""

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  # asyncio's name for it
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Return the result of `socket.getaddrinfo`."""
        key = (host, port, family, type, proto, flags)
        infos: list[Any] = await _lookups().answer(key, functools.partial(socket.getaddrinfo, *key))
        return infos

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Return the result of `socket.getnameinfo`; with numeric *flags*, that needs no lookup."""
        return socket.getnameinfo(sockaddr, flags)


class _Lookup:
    """A lookup, and the callers that wait for its result."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._begun: float | None = None
        self._outcome: Outcome[Any] | None = None
        self._waiting: deque[asyncio.Future[Outcome[Any]]] = deque()

    @property
    def is_fresh(self) -> bool:
        """Whether it has not begun, or began a short time ago."""
        return self._begun is None or time.monotonic() - self._begun < _FRESH

    def run(self) -> None:
        self._begun = time.monotonic()
        outcome = self._outcome = Outcome.of(self._question)
        self._deliver(outcome)

    async def answer(self) -> Any:
        future: asyncio.Future[Outcome[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if self._outcome is not None:  # the result came in between
            self._deliver(self._outcome)
        value, error = await future
        if error is not None:
            raise copy.copy(error)  # other callers raise it too, each with its own traceback
        return value

    def _deliver(self, outcome: Outcome[Any]) -> None:
        # Two threads may run this at once; each delivers to different callers.
        with suppress(IndexError):
            while True:
                deliver(outcome, self._waiting.popleft())


class _Lookups:
    """The lookups of this process, without a lock, for the same reason as in `Daemons`."""

    def __init__(self) -> None:
        self._daemons = Daemons("agentkeys-lookup")
        self._latest: dict[object, _Lookup] = {}
        forks.watch(self)

    def begin_afresh(self) -> object:
        """Drop the lookups in a forked child; they belong to the parent."""
        inherited, self._latest = self._latest, {}
        return inherited

    async def answer(self, key: object, question: Question) -> Any:
        """Return the result of *question*, or raise its error; callers share one lookup."""
        lookup = self._latest.get(key)
        if lookup is None or not lookup.is_fresh:
            lookup = self._latest[key] = _Lookup(question)
            try:
                self._daemons.do(functools.partial(self._run, key, lookup))
            except OSError:
                self._latest.pop(key, None)  # the lookup never runs
                raise
        return await lookup.answer()

    def _run(self, key: object, lookup: _Lookup) -> None:
        lookup.run()
        if self._latest.get(key) is lookup:
            self._latest.pop(key, None)


@functools.cache
def _lookups() -> _Lookups:
    return _Lookups()  # not on import, because it registers a fork handler
