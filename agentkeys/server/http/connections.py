"""How many connections may be open, and which of them makes room for a new one."""

from __future__ import annotations

from typing import Final, Protocol

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.ground.plain import is_whole

CONNECTION_LIMIT: Final = 500


class Connection(Protocol):
    """What must be known of a connection to count it."""

    @property
    def waits(self) -> bool:
        """Whether it waits for its client."""

    def abandon(self) -> None:
        """Close it, for another one needs its room."""


class Connections:
    """The open connections of a service.

    Args:
        limit: how many there may be.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # Those first that have waited longest; a dict keeps its order, and a loop's clock may be
        # too coarse for it.
        self._open: dict[Connection, None] = {}

    def add(self, new: Connection) -> bool:
        """Take a new connection in, and tell whether its requests may be acted on.

        At the limit the one that has waited longest for its client is closed. If none waits, the
        new one is one too many; as it waits itself, it is the first to make room for the next.
        """
        if len(self._open) >= self._limit:
            self._close_idlest()
        has_room = len(self._open) < self._limit
        self._open[new] = None
        return has_room

    def renew(self, active: Connection) -> None:
        """Count anew how long a connection waits: a request has begun on it, or has ended."""
        if active in self._open:
            del self._open[active]
            self._open[active] = None

    def discard(self, lost: Connection) -> None:
        """Forget a connection that was lost."""
        self._open.pop(lost, None)

    def _close_idlest(self) -> None:
        idlest = next((each for each in self._open if each.waits), None)
        if idlest is not None:
            del self._open[idlest]
            idlest.abandon()


def check_connection_limit(limit: object) -> None:
    """See that there can be such a limit.

    Raises:
        InvalidArgumentError: there cannot.
    """
    if not (is_whole(limit) and limit >= 1):
        raise InvalidArgumentError("connection_limit is a number of connections, 1 or more")
