"""The Authorization header: bearer tokens (RFC 6750) and Basic credentials (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agentkeys.secret import Secret
from agentkeys.server.http.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)
_BASIC: Final = re.compile(r"basic +([A-Za-z0-9+/]+=*) *", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """An email and a password."""

    email: str
    password: Secret


def bearer_token(request: web.BaseRequest, realm: str) -> Secret:
    """Return the request's bearer token.

    Raises:
        Refusal: 401, if there is none, or it has not the form of one.
    """
    header = _authorization(request)
    token = _match(_BEARER, header)
    if token is not None:
        return token
    if header.reveal().lower().startswith("bearer "):
        raise refused_token(realm)
    raise Refusal(401, "A bearer token is missing.", headers=challenge(realm))


def refused_token(realm: str) -> Refusal:
    """Return the refusal of a bearer token that is unknown, expired or deleted."""
    message = "The token is invalid or expired."
    return Refusal(401, message, headers=challenge(realm, "invalid_token", message))


def challenge(realm: str, error: str | None = None, description: str = "") -> Mapping[str, str]:
    """Return the header of a 401; *error* only if a token was sent (RFC 6750, 3.1)."""
    value = f'Bearer realm="{realm}"'
    if error is not None:
        value += f', error="{error}", error_description="{description}"'
    return {"WWW-Authenticate": value}


def basic_credentials(request: web.BaseRequest, realm: str) -> BasicCredentials:
    """Return the request's Basic credentials.

    Raises:
        Refusal: 401, if there are none, or they cannot be decoded.
    """
    encoded = _match(_BASIC, _authorization(request))
    credentials = None if encoded is None else _decoded(encoded)
    if credentials is None:
        raise wrong_credentials(realm, "Basic credentials are missing or cannot be read.")
    return credentials


def wrong_credentials(realm: str, message: str) -> Refusal:
    """Return the refusal of Basic credentials."""
    return Refusal(
        401, message, headers={"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}
    )


def _authorization(request: web.BaseRequest) -> Secret:
    headers = [Secret(header) for header in request.headers.getall("Authorization", [])]
    # Two headers count as none, because it is not known which one is meant.
    return headers[0] if len(headers) == 1 else Secret("")


def _match(form: re.Pattern[str], header: Secret) -> Secret | None:
    found = form.fullmatch(header.reveal())
    return None if found is None else Secret(found[1])


def _decoded(encoded: Secret) -> BasicCredentials | None:
    try:
        decoded = Secret(base64.b64decode(encoded.reveal(), validate=True).decode())
    except (binascii.Error, ValueError):
        return None
    colon = decoded.reveal().find(":")
    if colon < 0:
        return None
    return BasicCredentials(decoded.reveal()[:colon], Secret(decoded.reveal()[colon + 1 :]))
