"""The routes of both services by name, for faults and the record of requests."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from agentkeys.errors import InvalidArgumentError
from agentkeys.masking import mask

if TYPE_CHECKING:
    from aiohttp import web

_ACCOUNT: Final = "/auth/api-keys"
_SCOPES: Final = (
    "/human/v0/inboxes/{inbox_id}/api-keys",
    "/human/v0/api-keys",
    "/agent/v0/inboxes/{inbox_id}/api-keys",
    "/agent/v0/api-keys",
    "/agent/v0/pods/{pod_id}/api-keys",
)

REGISTER: Final = frozenset({"POST /auth/register"})
"""The creation of an account with Agentity."""

LOGIN: Final = frozenset({"POST /auth/token"})
"""The login of Agentity."""

REFRESH: Final = frozenset({"POST /auth/token/refresh"})
"""The renewal of Agentity's tokens."""

CREATES: Final = frozenset(f"POST {path}" for path in (_ACCOUNT, *_SCOPES))
"""Every creation of a key."""

LISTS: Final = frozenset(f"GET {path}" for path in (_ACCOUNT, *_SCOPES))
"""Every listing of keys."""

DELETES: Final = frozenset(
    {f"DELETE {_ACCOUNT}/{{id}}", *(f"DELETE {path}/{{api_key_id}}" for path in _SCOPES)}
)
"""Every deletion of a key."""

ALL: Final = REGISTER | LOGIN | REFRESH | CREATES | LISTS | DELETES
"""Every route."""

AGENTITY: Final = frozenset(route for route in ALL if " /auth/" in route)
"""Every route of Agentity."""

AGENTRY: Final = ALL - AGENTITY
"""Every route of Agentry."""


PROBES: Final = frozenset({"/healthz", "/readyz"})
"""The paths of probes by an orchestrator; they belong to neither service."""


def routes_of(given: str | Iterable[str]) -> frozenset[str]:
    """Return the routes in *given*: one, or several.

    Raises:
        InvalidArgumentError: a route does not exist, or there are none.
    """
    if not isinstance(given, Iterable):
        raise InvalidArgumentError("a route must be a str such as 'POST /auth/api-keys'")
    routes = frozenset([given] if isinstance(given, str) else given)
    if not routes:
        raise InvalidArgumentError("a fault needs a route, but this group is empty")
    for route in routes - ALL:
        raise InvalidArgumentError(_unknown(str(route)))
    return routes


def route_of(request: web.Request) -> str | None:
    """Return the route of *request*, or None."""
    resource = request.match_info.route.resource
    return None if resource is None else f"{request.method} {resource.canonical}"


def _unknown(route: str) -> str:
    # The value may be a whole address with a key, by mistake.
    sentence = f"there is no route {mask(route)!r}"
    close = difflib.get_close_matches(route, sorted(ALL), n=1)
    return f"{sentence}: did you mean {close[0]!r}?" if close else sentence
