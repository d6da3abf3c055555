"""The faults that were put on routes, in their order, and what each has met."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Final, Self

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.faults.kinds import Kind, Times, When
from agentkeys.server.ground.plain import is_whole
from agentkeys.server.http.routes import AGENTRY, LISTS, routes_of
from agentkeys.server.http.tally import PATIENCE, Tally

_IDS: Final = itertools.count(1)


class Fault:
    """A fault on some routes. `Faults.add` makes it; at the end of a ``with`` it is removed.

    Attributes:
        id: a number that no other fault of this process has.
        routes: the routes that it is on.
        kind: what goes wrong.
        when: before the service acts on the request, or after.
        times: how many requests meet it, or ``"always"``.
    """

    def __init__(self, routes: frozenset[str], kind: Kind, when: When, times: Times) -> None:
        self.id = next(_IDS)
        self.routes = routes
        self.kind = kind
        self.when = when
        self.times = times
        self._tally = Tally(f"requests that met {self!r}")
        self._is_removed = False
        self._removal: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        first, *others = sorted(self.routes)
        routes = f"{first} and {len(others)} more" if others else first
        return f"<Fault {self.kind!r} {self.when} {routes}, times={self.times!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    @property
    def hits(self) -> int:
        """How many requests have met it."""
        return self._tally.count

    @property
    def is_removed(self) -> bool:
        """Whether it was removed."""
        return self._is_removed

    async def wait(self, hits: int = 1, *, timeout: float = PATIENCE) -> None:
        """Return when so many requests have met it. After the commit means: it is done.

        Raises:
            TimeoutError: they have not, after *timeout* seconds.
        """
        await self._tally.reach(hits, timeout)

    def remove(self) -> None:
        """Let no further request meet it, and let go of those that wait at it.

        A delay is over then, what trickles comes at once, and a connection that would never be
        answered is closed.
        """
        self._is_removed = True
        removal = self._removal
        if removal is not None:
            # From any thread, and perhaps after the service's loop has ended.
            with contextlib.suppress(RuntimeError):
                removal.get_loop().call_soon_threadsafe(_resolve, removal)

    # For the service alone, on its loop:

    def is_for(self, route: str) -> bool:
        """Tell whether a request for *route* meets it."""
        used_up = self.times != "always" and self.hits >= self.times
        return route in self.routes and not (used_up or self._is_removed)

    def hit(self) -> None:
        """Note that a request meets it."""
        self._tally.add()

    def removal(self) -> asyncio.Future[None]:
        """Return what is done when it is removed."""
        loop = asyncio.get_running_loop()
        if self._removal is None or self._removal.get_loop() is not loop:
            self._removal = loop.create_future()
        if self._is_removed:
            _resolve(self._removal)
        return self._removal


class Faults:
    """The faults of a local service, in the order in which they were added.

    A request meets the first one that is on its route and not used up, and no other.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self.were_added = False

    def __repr__(self) -> str:
        return f"<Faults: {len(self._faults)}>"

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults.copy())

    def add(
        self,
        route: str | Iterable[str],
        kind: Kind,
        *,
        when: When | None = None,
        times: Times | None = None,
    ) -> Fault:
        """Put a fault on a route, or on several.

        Args:
            route: ``"POST /auth/api-keys"``, several of that kind, or a group such as `CREATES`.
            kind: what goes wrong.
            when: ``"before"`` the service acts on the request, which it then does not (`Delay`
                apart), or ``"after"``: a request that it refuses does not meet the fault, and
                what it does is durable when the answer is spoiled. The default is before; for
                the faults of pages it is after.
            times: how many requests meet it, or ``"always"``. The default is once; for cursors
                that never end it is always.

        Raises:
            InvalidArgumentError: there is no such route, or it cannot go wrong in this way.
        """
        _check(kind, when, times)
        routes = routes_of(route)
        if kind.of_pages and not routes <= LISTS & AGENTRY:
            raise InvalidArgumentError(
                f"{kind!r} is for pages, which only Agentry's listings have: LISTS & AGENTRY"
            )
        default: When = "after" if kind.of_pages else "before"
        fault = Fault(routes, kind, when or default, times or kind.times)
        self._faults.append(fault)
        self.were_added = True
        return fault

    def clear(self) -> None:
        """Remove all of them."""
        removed, self._faults = self._faults, []
        for fault in removed:
            fault.remove()

    def due(self, route: str | None) -> Fault | None:
        """Return the fault that a request for *route* meets now, if there is one."""
        if route is None:
            return None
        return next((fault for fault in self._faults if fault.is_for(route)), None)


def _check(kind: Kind, when: When | None, times: Times | None) -> None:
    if not isinstance(kind, Kind):
        raise InvalidArgumentError("a fault is of a kind such as Reset(), with its parentheses")
    if when not in {None, "before", "after"}:
        raise InvalidArgumentError('a fault comes "before" the commit or "after" it')
    if kind.of_pages and when == "before":
        raise InvalidArgumentError(f"{kind!r} spoils a page, and before the commit there is none")
    if times is None or times == "always":
        return
    if not is_whole(times) or times < 1:
        raise InvalidArgumentError('a fault is met a whole number of times, 1 or more, or "always"')


def _resolve(removal: asyncio.Future[None]) -> None:
    if not removal.done():
        removal.set_result(None)
