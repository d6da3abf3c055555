"""Limit the head of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.streams import StreamReader

HEAD_LIMIT: Final = 32 * 1024
"""The longest head, in bytes. While it arrives, it needs twice its size in memory."""

# The bytes that are parsed at once, so how much more than the limit may be read.
_PIECE: Final = 8 * 1024
# The number of requests that may wait in a connection; aiohttp parses no further then.
_MOST_WAITING: Final = 32


class HeadTooLongError(HttpProcessingError):
    """A head is longer than `HEAD_LIMIT`."""

    code = 431


class HeadLimit:
    """A parser of HTTP requests that gives up on a head that is too long.

    aiohttp limits the length of a line and the number of lines, and so a head to 1 MiB. The parts
    around the content of a body, chunk sizes and trailers, have the same limit.

    Args:
        parser: aiohttp's parser.
        is_paused: whether the parser holds its input back, because its body is not read.
    """

    def __init__(self, parser: Any, is_paused: Callable[[], bool]) -> None:
        self._parser = parser
        self._is_paused = is_paused
        self._body: StreamReader | None = None
        self._waiting = 0
        self._unread = 0
        self.error: HttpProcessingError | None = None
        """Why nothing more can be read, or None; raised after the requests before it."""
        self.has_raised = False
        self.is_within_bad_body = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    @property
    def is_within_head(self) -> bool:
        """Whether a head has begun to arrive, and is incomplete."""
        return self._unread > 0 and (self._body is None or self._body.is_eof())

    def message_consumed(self) -> None:
        """Record that a request no longer waits."""
        self._waiting -= 1
        self._parser.message_consumed()

    def feed_data(self, data: bytes) -> tuple[list[Any], bool, bytes]:
        """Parse *data*; return the requests whose heads end in it, and the rest after an upgrade.

        Raises:
            HttpProcessingError: it is not HTTP, or a head is too long.
        """
        requests: list[Any] = []
        # Also without data: aiohttp continues the parser in this way.
        for start in range(0, len(data) or 1, _PIECE):
            if self.error is None:
                found, upgraded, tail = self._feed(data[start : start + _PIECE])
                requests += found
                if upgraded:
                    return requests, upgraded, tail + data[start + _PIECE :]
        if self.error is not None and not requests:
            self.has_raised = True
            raise self.error
        return requests, False, b""

    def _feed(self, piece: bytes) -> tuple[list[Any], bool, bytes]:
        body = self._body if self._body is not None and not self._body.is_eof() else None
        before = 0 if body is None else body.total_bytes
        try:
            found, upgraded, tail = self._parser.feed_data(piece)
        except HttpProcessingError as error:
            self._give_up(error)
            return [], False, b""
        if found:
            # The data after them in this piece is not counted.
            self._waiting += len(found)
            self._body, self._unread = found[-1][1], 0
            return found, upgraded, tail
        self._unread += len(piece) - (0 if body is None else body.total_bytes - before)
        if body is not None and body.is_eof():
            self._unread = 0
        is_held_back = self._waiting >= _MOST_WAITING or self._is_paused()
        if self._unread > HEAD_LIMIT and not is_held_back:
            self._give_up(HeadTooLongError())
        return found, upgraded, tail

    def _give_up(self, error: HttpProcessingError) -> None:
        self.error = error
        if self._body is not None and not self._body.is_eof():
            # Its reader gets the error now, not at its time limit.
            self.is_within_bad_body = True
            self._body.set_exception(web.RequestPayloadError())
            self._body.feed_eof()
