"""How many connections may be open, and which of them makes room for a new one."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.checks import is_whole

if TYPE_CHECKING:
    from agentkeys.server.protocol import Protocol

CONNECTION_LIMIT: Final = 500


class Connections:
    """The open connections of a service.

    Args:
        limit: how many there may be.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Protocol] = set()

    def add(self, new: Protocol) -> bool:
        """Take a new connection in, and tell whether its requests may be acted on.

        At the limit the one that has waited longest for its client is closed. If none waits, the
        new one is one too many; as it waits itself, it is the first to make room for the next.
        """
        if len(self._open) >= self._limit:
            self._close_idlest()
        has_room = len(self._open) < self._limit
        self._open.add(new)
        return has_room

    def discard(self, lost: Protocol) -> None:
        """Forget a connection that was lost."""
        self._open.discard(lost)

    def _close_idlest(self) -> None:
        waiting = filter(operator.attrgetter("waits"), self._open)
        idlest = min(waiting, key=operator.attrgetter("since"), default=None)
        if idlest is not None:
            self._open.discard(idlest)
            idlest.abandon()


def check_connection_limit(limit: object) -> None:
    """See that there can be such a limit.

    Raises:
        InvalidArgumentError: there cannot.
    """
    if not (isinstance(limit, int) and is_whole(limit) and limit >= 1):
        raise InvalidArgumentError("connection_limit is a number of connections, 1 or more")
