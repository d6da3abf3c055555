"""Faulty pages, and page tokens of faults that wrap the service's own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from multidict import MultiDict

from agentkeys.server.http.answers import json_response

if TYPE_CHECKING:
    from aiohttp import web

_PARAMETER: Final = "page_token"
_FORM: Final = re.compile(r"fault-(\d{1,9})-(.*)", re.DOTALL)


class Cursor(NamedTuple):
    """A page token: the service's own, or a fault's around it.

    Attributes:
        own: the service's token, or "" for the first page.
        number: the number of the fault's token; None for the service's own.
    """

    own: str
    number: int | None = None

    def __str__(self) -> str:
        return self.own if self.number is None else f"fault-{self.number}-{self.own}"


def cursor_of(request: web.Request) -> Cursor:
    """Return the page token of *request*."""
    token = request.query.get(_PARAMETER, "")
    found = _FORM.fullmatch(token)
    return Cursor(token) if found is None else Cursor(found[2], int(found[1]))


def with_own_cursor(request: web.Request) -> web.Request:
    """Return *request* with the service's own page token, or none."""
    # The service rejects two of them itself.
    if len(request.query.getall(_PARAMETER, [])) != 1:
        return request
    cursor = cursor_of(request)
    if cursor.number is None:
        return request
    query = MultiDict(request.query)
    query.popall(_PARAMETER)
    if cursor.own:
        query[_PARAMETER] = cursor.own
    return request.clone(rel_url=request.rel_url.with_query(query))


def next_cursor(cursor: Cursor, length: int = 10**9) -> Cursor:
    """Return the fault's token after *cursor*, in a cycle of *length*."""
    number = 0 if cursor.number is None else cursor.number + 1
    return Cursor(cursor.own, number % length)


def page_of(answer: web.Response) -> dict[str, Any]:
    """Return the page in an answer."""
    page: dict[str, Any] = json.loads(answer.text or "")
    return page


def page_with(keys: list[Any], token: object) -> web.Response:
    """Return a page of *keys* with the page token *token*."""
    page = {"api_keys": keys, "count": len(keys), "next_page_token": str(token)}
    return json_response(page)
