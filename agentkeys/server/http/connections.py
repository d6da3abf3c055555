"""The limit of open connections, and the choice of a connection to close for a new one."""

from __future__ import annotations

from typing import Final, Protocol

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.ground.plain import is_whole

CONNECTION_LIMIT: Final = 500


class Connection(Protocol):
    """What `Connections` needs of a connection."""

    @property
    def waits(self) -> bool:
        """Whether it waits for its client."""

    def abandon(self) -> None:
        """Close it, to make room for another one."""


class Connections:
    """The open connections of a service.

    Args:
        limit: the largest number of open connections.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # The longest waiting first; a dict keeps its order, and a loop's clock may be too coarse.
        self._open: dict[Connection, None] = {}

    def add(self, new: Connection) -> bool:
        """Add a new connection, and return whether its requests may be acted on.

        At the limit, the connection that has waited longest for its client is closed. If none
        waits, the new one is one too many; as it waits itself, it is the first to be closed for the
        next.
        """
        if len(self._open) >= self._limit:
            self._close_idlest()
        has_room = len(self._open) < self._limit
        self._open[new] = None
        return has_room

    def renew(self, active: Connection) -> None:
        """Restart the waiting time of a connection: a request has begun on it, or has ended."""
        if active in self._open:
            del self._open[active]
            self._open[active] = None

    def discard(self, lost: Connection) -> None:
        """Remove a lost connection."""
        self._open.pop(lost, None)

    def _close_idlest(self) -> None:
        idlest = next((each for each in self._open if each.waits), None)
        if idlest is not None:
            del self._open[idlest]
            idlest.abandon()


def check_connection_limit(limit: object) -> None:
    """Check a limit of connections.

    Raises:
        InvalidArgumentError: the limit is not valid.
    """
    if not (is_whole(limit) and limit >= 1):
        raise InvalidArgumentError("connection_limit must be a number of connections, 1 or more")
