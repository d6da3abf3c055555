"""What a blocking local service gives: its faults and its record, with waits that block.

All of it may be used from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any, Self, TypeAlias

from agentkeys.server.faults.kinds import Kind, Times, When
from agentkeys.server.faults.queue import Fault, Faults
from agentkeys.server.http.record import RecordedRequest, Requests
from agentkeys.server.http.tally import PATIENCE

__all__ = ["BlockingFault", "BlockingFaults", "BlockingRequests"]

_Run: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
"""Runs a coroutine on the service's loop, and waits for its end."""


class BlockingFault:
    """A fault on some routes. `BlockingFaults.add` makes it; at the end of a ``with`` it goes."""

    def __init__(self, fault: Fault, run: _Run) -> None:
        self._fault = fault
        self._run = run

    def __repr__(self) -> str:
        return repr(self._fault)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    @property
    def routes(self) -> frozenset[str]:
        """The routes that it is on."""
        return self._fault.routes

    @property
    def kind(self) -> Kind:
        """What goes wrong."""
        return self._fault.kind

    @property
    def when(self) -> When:
        """Before the service acts on the request, or after."""
        return self._fault.when

    @property
    def times(self) -> Times:
        """How many requests meet it, or ``"always"``."""
        return self._fault.times

    @property
    def hits(self) -> int:
        """How many requests have met it."""
        return self._fault.hits

    def wait(self, hits: int = 1, *, timeout: float = PATIENCE) -> None:
        """Return when so many requests have met it; see `Fault.wait`."""
        self._run(partial(self._fault.wait, hits, timeout=timeout))

    def remove(self) -> None:
        """Let no further request meet it, and let go of those that wait; see `Fault.remove`."""
        self._fault.remove()


class BlockingFaults:
    """The faults of a blocking local service, in the order in which they were added."""

    def __init__(self, faults: Faults, run: _Run) -> None:
        self._faults = faults
        self._run = run

    def __repr__(self) -> str:
        return repr(self._faults)

    def __iter__(self) -> Iterator[BlockingFault]:
        return (BlockingFault(fault, self._run) for fault in self._faults)

    def add(
        self,
        route: str | Iterable[str],
        kind: Kind,
        *,
        when: When | None = None,
        times: Times | None = None,
    ) -> BlockingFault:
        """Put a fault on a route, or on several; see `Faults.add`."""
        return BlockingFault(self._faults.add(route, kind, when=when, times=times), self._run)

    def clear(self) -> None:
        """Remove all of them."""
        self._faults.clear()


class BlockingRequests:
    """The last requests that came, oldest first: iterate, index, or take the `len`."""

    def __init__(self, requests: Requests, run: _Run) -> None:
        self._requests = requests
        self._run = run

    def __repr__(self) -> str:
        return repr(self._requests)

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[RecordedRequest]:
        return iter(self._requests)

    def __getitem__(self, index: int) -> RecordedRequest:
        return self._requests[index]

    @property
    def count(self) -> int:
        """How many have come since the service was made, or since `clear`."""
        return self._requests.count

    def wait(self, count: int = 1, *, timeout: float = PATIENCE) -> None:
        """Return when so many requests have come, answered or not; see `Requests.wait`."""
        self._run(partial(self._requests.wait, count, timeout=timeout))

    def clear(self) -> None:
        """Forget them, and count from 0 again."""
        self._requests.clear()
