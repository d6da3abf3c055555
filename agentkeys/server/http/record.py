"""The record of the last requests, without secrets."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.masking import mask
from agentkeys.secret import MASK, Secret
from agentkeys.server.ground.plain import is_whole
from agentkeys.server.http.fields import json_object
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.http.tally import PATIENCE, Tally

if TYPE_CHECKING:
    from yarl import URL

# The documented parameters that hold no secret. Any other part of a query may be a secret.
_SHOWN: Final = frozenset({"inbox_id", "limit", "page_token"})
# The same for the fields of a body.
_SHOWN_FIELDS: Final = frozenset({"name", "nickname", "permissions"})


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as it was received, without its headers and secrets.

    Attributes:
        method: its method.
        path: its path and query, percent-encoded as received. Text in the form of a key is masked,
            and so is the value of every parameter except `inbox_id`, `limit` and `page_token`.
        route: its route, as in faults (``DELETE /auth/api-keys/{id}``), or None if there is no such
            route.
        request_id: the ``X-Request-Id`` of its answer.
        status: the status of its answer, or None until it is sent.
        body: its body as JSON, if the service was made with ``recorded_bodies=True``; the value of
            every field except `name`, `nickname` and `permissions` is masked, and so is text in the
            form of a key. None if there is no body, or the body has not arrived yet.
    """

    method: str
    path: str
    route: str | None
    request_id: str
    status: int | None
    body: str | None = None


class Entry:
    """A request in the record, whose status may change."""

    __slots__ = ("body", "request", "status")

    def __init__(self, request: tuple[str, str, str | None, str]) -> None:
        self.request = request
        self.status: int | None = None
        self.body: str | None = None


_ENTRY: Final = web.RequestKey("entry", Entry)


class Requests:
    """The last requests, oldest first: iterate, index, or use `len`.

    A request that could not be parsed as HTTP is not recorded.
    """

    def __init__(self, limit: int, *, bodies: bool = False) -> None:
        if not is_whole(limit) or limit < 0:
            raise InvalidArgumentError("recorded_requests must be a number of requests, 0 for none")
        self.limit = limit
        self._bodies = bodies
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._tally = Tally("requests that came")

    def __repr__(self) -> str:
        return f"<Requests: {len(self)} of {self.count}>"

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[RecordedRequest]:
        return iter([_shown(entry) for entry in self._entries.copy()])

    def __getitem__(self, index: int) -> RecordedRequest:
        return _shown(self._entries[index])

    @property
    def count(self) -> int:
        """The number of requests since the service was made, or since `clear`."""
        return self._tally.count

    async def wait(self, count: int = 1, *, timeout: float = PATIENCE) -> None:
        """Wait until *count* requests were received, answered or not.

        Raises:
            TimeoutError: they were not, after *timeout* seconds.
            ConfigurationError: the service records no requests.
        """
        if not self.limit:
            raise ConfigurationError("this service was made with recorded_requests=0")
        await self._tally.reach(count, timeout)

    def clear(self) -> None:
        """Clear the record, and count from 0 again."""
        self._entries.clear()
        self._tally.count = 0

    def note(self, request: web.Request, route: str | None, request_id: str) -> Entry:
        """Record *request*, and return its entry, for its status."""
        entry = Entry((request.method, _shown_path(request.rel_url), route, request_id))
        self._entries.append(entry)
        if self._bodies:
            request[_ENTRY] = entry
        self._tally.add()
        return entry


def note_body(request: web.Request, body: Secret) -> None:
    """Record the body of a request, if the record has bodies."""
    entry = request.get(_ENTRY)
    if entry is not None:
        entry.body = _shown_body(body)


def _shown(entry: Entry) -> RecordedRequest:
    return RecordedRequest(*entry.request, entry.status, entry.body)


def _shown_body(body: Secret) -> str:
    try:
        fields = json_object(body)
    except Refusal:
        return MASK
    shown = {name: value if name in _SHOWN_FIELDS else MASK for name, value in fields.items()}
    return mask(json.dumps(shown, ensure_ascii=False))


def _shown_path(url: URL) -> str:
    path, query = url.raw_path, url.raw_query_string
    if query:
        path = f"{path}?{'&'.join(map(_shown_parameter, query.split('&')))}"
    # Text in the form of a key has one of these; searching for it takes longer than everything
    # else.
    return mask(path) if "_" in path or "=" in path else path


def _shown_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    if name in _SHOWN:
        return parameter
    # Without a name, all of it may be the value.
    return f"{name}={MASK}" if equals else MASK
