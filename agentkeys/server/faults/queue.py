"""The faults on the routes, in order, with the number of requests that each has affected."""

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
    """A fault on some routes, made by `Faults.add`; the end of a ``with`` removes it.

    Attributes:
        id: unique among the faults of this process.
        routes: the routes with the fault.
        kind: the kind of the fault.
        when: whether it happens before the service acts on the request, or after.
        times: the number of requests that it affects, or ``"always"``.
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
        """The number of requests that it has affected."""
        return self._tally.count

    @property
    def is_removed(self) -> bool:
        """Whether it was removed."""
        return self._is_removed

    async def wait(self, hits: int = 1, *, timeout: float = PATIENCE) -> None:
        """Wait until it has affected *hits* requests; with ``when="after"``, they are committed.

        Raises:
            TimeoutError: it has not, after *timeout* seconds.
        """
        await self._tally.reach(hits, timeout)

    def remove(self) -> None:
        """Affect no further requests, and release those that it holds back.

        A delay ends, a trickle sends the rest at once, and a connection without an answer is
        closed.
        """
        self._is_removed = True
        removal = self._removal
        if removal is not None:
            # From any thread, and perhaps after the service's loop has ended.
            with contextlib.suppress(RuntimeError):
                removal.get_loop().call_soon_threadsafe(_resolve, removal)

    # For the service only, on its loop:

    def is_for(self, route: str) -> bool:
        """Return whether it affects a request for *route*."""
        used_up = self.times != "always" and self.hits >= self.times
        return route in self.routes and not (used_up or self._is_removed)

    def hit(self) -> None:
        """Count a request."""
        self._tally.add()

    def removal(self) -> asyncio.Future[None]:
        """Return a future that is done when it is removed."""
        loop = asyncio.get_running_loop()
        if self._removal is None or self._removal.get_loop() is not loop:
            self._removal = loop.create_future()
        if self._is_removed:
            _resolve(self._removal)
        return self._removal


class Faults:
    """The faults of a local service, in the order of their addition.

    The first fault that is on a request's route and not used up affects the request; no other does.
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
        """Put a fault on one or several routes.

        Args:
            route: ``"POST /auth/api-keys"``, several such routes, or a group such as `CREATES`.
            kind: the kind of the fault.
            when: ``"before"``: the service does not act on the request (except with `Delay`);
                ``"after"``: the service acts, its change is durable, and the answer is faulty; a
                request that the service rejects is not affected. Defaults to before; for faults of
                pages, to after.
            times: the number of requests that it affects, or ``"always"``. Defaults to 1; for
                cursors that never end, to always.

        Raises:
            InvalidArgumentError: the route does not exist, or cannot have such a fault.
        """
        _check(kind, when, times)
        routes = routes_of(route)
        if kind.of_pages and not routes <= LISTS & AGENTRY:
            raise InvalidArgumentError(
                f"{kind!r} is for pages, which only Agentry's listings have: use LISTS & AGENTRY"
            )
        default: When = "after" if kind.of_pages else "before"
        fault = Fault(routes, kind, when or default, times or kind.times)
        self._faults.append(fault)
        self.were_added = True
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        removed, self._faults = self._faults, []
        for fault in removed:
            fault.remove()

    def due(self, route: str | None) -> Fault | None:
        """Return the fault that affects a request for *route* now, or None."""
        if route is None:
            return None
        return next((fault for fault in self._faults if fault.is_for(route)), None)


def _check(kind: Kind, when: When | None, times: Times | None) -> None:
    if not isinstance(kind, Kind):
        raise InvalidArgumentError("a fault needs a kind such as Reset(), with its parentheses")
    if when not in {None, "before", "after"}:
        raise InvalidArgumentError('a fault must come "before" the commit or "after" it')
    if kind.of_pages and when == "before":
        raise InvalidArgumentError(
            f"{kind!r} changes a page, and before the commit there is no page"
        )
    if times is None or times == "always":
        return
    if not is_whole(times) or times < 1:
        raise InvalidArgumentError('times must be a whole number, 1 or more, or "always"')


def _resolve(removal: asyncio.Future[None]) -> None:
    if not removal.done():
        removal.set_result(None)
