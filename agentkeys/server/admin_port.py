"""`Admin`: the admin port of a local service."""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Final, Self, cast

from aiohttp import web

from agentkeys.arguments import as_secret
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.secret import Secret
from agentkeys.server.admin_routes import AdminRoutes
from agentkeys.server.app import create_app
from agentkeys.server.http.authorization import bearer_token, refused_token
from agentkeys.server.http.hosts import Hosts
from agentkeys.server.http.listening import listen, url_of
from agentkeys.server.http.refusals import Refusal
from agentkeys.server.http.sockets import Limits, serve_app
from agentkeys.server.service import LocalService
from agentkeys.server.storage.key_format import digest_of

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from agentkeys.server.app import Refuse
    from agentkeys.server.http.protocol import Protocol

_REALM: Final = "admin"
_LOOPBACK: Final = "127.0.0.1"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")


class Admin:
    """The admin port of a running local service, as an async context manager.

    Programs in any language control the service over it, by HTTP with JSON. It listens on 127.0.0.1
    only. Each request needs the token, as a bearer token.

    Args:
        service: the service.
        port: the port to listen on; 0 is any free port.
        token: the token: 16 or more characters that a bearer token may have; None means a random
            one.

    Raises:
        InvalidArgumentError: the token is not valid.
    """

    def __init__(
        self, service: LocalService, *, port: int = 0, token: str | Secret | None = None
    ) -> None:
        token = Secret(secrets.token_urlsafe(24)) if token is None else as_secret(token, "token")
        if not _TOKEN.fullmatch(token.reveal()):
            raise InvalidArgumentError(
                "an admin token must have 16 or more characters: letters, digits, and . _ ~ + / -"
            )
        self._service = service
        self._port = port
        self._token = token
        self._url: str | None = None
        self._exits = contextlib.AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Admin {self._url or 'not running'}>"

    @property
    def url(self) -> str:
        """The base address, without a trailing slash."""
        if self._url is None:
            raise ConfigurationError("the Admin is not running: use it with `async with`")
        return self._url

    @property
    def token(self) -> str:
        """The token that each request needs. It is a secret: do not log it."""
        return self._token.reveal()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as exits:
            listener = await listen(_LOOPBACK, self._port)
            exits.callback(listener.close)
            app = create_app(AdminRoutes(self._service).routes(), _Guard(self._token))
            await serve_app(app, listener, exits, Limits(shutdown_timeout=1.0))
            self._exits = exits.pop_all()
        self._url = url_of(listener)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._url = None
        await self._exits.aclose()


class _Guard:
    """Accept requests with the token, and none from a page of another host."""

    def __init__(self, token: Secret) -> None:
        self._digest = digest_of(token)
        self._hosts = Hosts(())

    def middleware(self, refuse: Refuse) -> Middleware:
        """Return the guard as a middleware."""

        @web.middleware
        async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
            refusal = self._refusal(request)
            return await (handler(request) if refusal is None else refuse(request, refusal))

        return enter

    def _refusal(self, request: web.Request) -> Refusal | None:
        if not cast("Protocol", request.protocol).begin(request):
            return Refusal(503, "The admin port has too many open connections.", closes=True)
        if self._hosts.refusal(request) is not None:
            return Refusal(403, "Host and Origin may name this machine alone.")
        try:
            token = bearer_token(request, _REALM)
        except Refusal as refusal:
            return refusal
        # Digests are compared, so that the time shows neither the token's length nor its content.
        is_right = hmac.compare_digest(digest_of(token), self._digest)
        return None if is_right else refused_token(_REALM)
