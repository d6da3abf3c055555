"""The Authorization header: bearer tokens (RFC 6750) and Basic credentials (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agentkeys.server.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)
_BASIC: Final = re.compile(r"basic +([A-Za-z0-9+/]+=*) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An email and a password."""

    email: str
    password: str = field(repr=False)


def bearer_token(request: web.BaseRequest, realm: str) -> str:
    """Return the request's bearer token.

    Raises:
        Refusal: 401, if there is none, or it does not have the form of one.
    """
    header = _authorization(request)
    match = _BEARER.fullmatch(header)
    if match is not None:
        return match[1]
    if header.lower().startswith("bearer "):
        raise refused_token(realm)
    raise Refusal(401, "A bearer token is missing.", headers=challenge(realm))


def refused_token(realm: str) -> Refusal:
    """Return the refusal of a bearer token that is unknown, expired or deleted."""
    message = "The token is invalid or expired."
    return Refusal(401, message, headers=challenge(realm, "invalid_token", message))


def challenge(realm: str, error: str | None = None, description: str = "") -> Mapping[str, str]:
    """Return the header that goes with a 401; *error* only if a token was sent (RFC 6750, 3.1)."""
    value = f'Bearer realm="{realm}"'
    if error is not None:
        value += f', error="{error}", error_description="{description}"'
    return {"WWW-Authenticate": value}


def basic_credentials(request: web.BaseRequest, realm: str) -> Credentials:
    """Return the request's Basic credentials.

    Raises:
        Refusal: 401, if there are none, or they cannot be read.
    """
    match = _BASIC.fullmatch(_authorization(request))
    email, colon, password = _decoded(match[1]).partition(":") if match else ("", "", "")
    if not colon:
        raise wrong_credentials(realm, "Basic credentials are missing or cannot be read.")
    return Credentials(email, password)


def wrong_credentials(realm: str, message: str) -> Refusal:
    """Return the refusal of Basic credentials."""
    return Refusal(
        401, message, headers={"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}
    )


def _authorization(request: web.BaseRequest) -> str:
    headers = request.headers.getall("Authorization", [])
    # Two of them are no header at all: nobody can tell which one is meant.
    return headers[0] if len(headers) == 1 else ""


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
