"""The error answers of both services, each in its own form.

Agentity's errors are not documented: here they have a ``message``. Agentry documents ``{name,
errors}`` for 400 and ``{name, message}`` for 404; the other statuses follow the latter. A request
that belongs to neither service (an unknown path, a request that cannot be parsed) is answered in
Agentry's form, which includes Agentity's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from agentkeys.server.http.answers import json_response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

_NAMES: Final = {
    400: "ValidationError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    405: "MethodNotAllowedError",
    408: "RequestTimeoutError",
    409: "AlreadyExistsError",
    413: "PayloadTooLargeError",
    417: "ExpectationFailedError",
    429: "TooManyRequestsError",
    431: "HeaderFieldsTooLargeError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}


@dataclass(eq=False)
class Refusal(Exception):  # noqa: N818 - the field's word for an answer that says no
    """A request that is answered with an error.

    Attributes:
        status: the HTTP status.
        message: one sentence, which never repeats the request.
        code: the error in a word; for a 400.
        path: the place of the error in the request; for a 400.
        headers: further headers of the answer.
        closes: whether the connection cannot be used after it.
    """

    status: int
    message: str
    code: str = "invalid"
    path: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False


def invalid(message: str, *path: str, code: str = "invalid") -> Refusal:
    """Return the refusal of a request with an invalid value at *path*."""
    return Refusal(400, message, code, path)


def refusal_response(path: str, refusal: Refusal) -> web.Response:
    """Return the answer to a refused request for *path*."""
    response = json_response(_body(path, refusal), refusal.status, refusal.headers)
    if refusal.closes:
        response.force_close()
    return response


def _body(path: str, refusal: Refusal) -> dict[str, object]:
    if path.startswith("/auth/"):
        return {"message": refusal.message}
    name = _NAMES.get(refusal.status) or HTTPStatus(refusal.status).phrase
    if refusal.status != HTTPStatus.BAD_REQUEST:
        return {"name": name, "message": refusal.message}
    detail = {"code": refusal.code, "path": refusal.path, "message": refusal.message}
    return {"name": name, "errors": [detail]}
