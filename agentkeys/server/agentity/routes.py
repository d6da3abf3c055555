"""Agentity's routes: accounts, tokens, and the keys of an account (Agentity's documentation)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from aiohttp import web

from agentkeys.secret import Secret
from agentkeys.server.agentity import rows, sessions
from agentkeys.server.ground.clock import Clock, iso
from agentkeys.server.ground.plain import is_storable
from agentkeys.server.http.answers import json_response
from agentkeys.server.http.authorization import (
    BasicCredentials,
    basic_credentials,
    bearer_token,
    challenge,
    refused_token,
    wrong_credentials,
)
from agentkeys.server.http.fields import (
    body_of,
    json_object,
    path_segment,
    secret_field,
    segment_pattern,
    text_field,
    whole_number,
)
from agentkeys.server.http.protocol import client_gone
from agentkeys.server.http.refusals import Refusal, invalid
from agentkeys.server.storage.key_format import digest_of

if TYPE_CHECKING:
    import asyncio

    from sqlalchemy import Connection

    from agentkeys.server.agentity.access_tokens import AccessTokens
    from agentkeys.server.agentity.sessions import Session
    from agentkeys.server.storage.database import Database
    from agentkeys.server.storage.passwords import Passwords

_REALM: Final = "agentity"
_MAX_EMAIL_LENGTH: Final = 254
_MAX_REFRESH_TOKEN_LENGTH: Final = 4096
_MAX_KEY_ID: Final = 2**63 - 1
_KEY_ID_SEGMENT: Final = 3


class Agentity:
    """Agentity's endpoints on a database.

    Args:
        database: the accounts and keys.
        passwords: hashes and verifies passwords.
        access_tokens: issues and reads access tokens.
        refresh_token_lifetime: seconds until a refresh token expires.
        clock: returns the time.
    """

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        access_tokens: AccessTokens,
        refresh_token_lifetime: float,
        clock: Clock,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._access_tokens = access_tokens
        self._refresh_token_lifetime = refresh_token_lifetime
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return every route of the service."""
        return [
            web.post("/auth/register", self.register),
            web.post("/auth/token", self.login),
            web.post("/auth/token/refresh", self.refresh),
            web.post("/auth/api-keys", self.create_key),
            web.get("/auth/api-keys", self.list_keys, allow_head=False),
            web.delete(segment_pattern("/auth/api-keys/{id}"), self.delete_key),
        ]

    async def register(self, request: web.Request) -> web.Response:
        """Create an account; 409 if the email has one."""
        credentials = basic_credentials(request, _REALM)
        name = text_field(json_object(body_of(request)), "name")
        return json_response(await self.add_account(credentials, name, client_gone(request)), 201)

    async def add_account(
        self, credentials: BasicCredentials, name: str, gone: asyncio.Future[None] | None = None
    ) -> dict[str, object]:
        """Create an account and return it; stop if its client is *gone* before the hash.

        Raises:
            Refusal: 400, if the email or the password is not valid; 409, if the email has an
                account.
        """
        check_credentials(credentials)
        password_hash = await self._passwords.hash(credentials.password, gone)
        return await self._database.write(
            rows.add_account, credentials.email, name, password_hash, iso(self._clock())
        )

    async def knows(self, credentials: BasicCredentials) -> bool:
        """Return whether there is an account with this email and this password."""
        return await self._account_id(credentials) is not None

    async def login(self, request: web.Request) -> web.Response:
        """Return a pair of tokens for an email and a password."""
        credentials = basic_credentials(request, _REALM)
        account_id = await self._account_id(credentials, client_gone(request))
        if account_id is None:
            raise wrong_credentials(_REALM, "The email or the password is wrong.")
        refresh_token, stored = self._new_refresh_token()
        session = await self._database.write(
            sessions.begin_session, account_id, stored, self._clock()
        )
        return self._token_pair(session, refresh_token)

    async def refresh(self, request: web.Request) -> web.Response:
        """Return a new pair of tokens for a refresh token, which is valid once."""
        body = json_object(body_of(request))
        used = secret_field(body, "refreshToken", _MAX_REFRESH_TOKEN_LENGTH)
        refresh_token, stored = self._new_refresh_token()
        session = await self._database.write(
            sessions.renew_session, digest_of(used), stored, self._clock()
        )
        if session is None:
            message = "The refresh token is invalid, used or expired."
            raise Refusal(401, message, headers=challenge(_REALM))
        return self._token_pair(session, refresh_token)

    async def create_key(self, request: web.Request) -> web.Response:
        """Create a key of the account; its nickname is unique there."""
        session = self._session(request)
        key = await self._database.write(self._created, session, body_of(request))
        return json_response(key, 201)

    async def list_keys(self, request: web.Request) -> web.Response:
        """List the account's keys."""
        keys = await self._database.read(self._listed, self._session(request))
        return json_response({"apiKeys": keys})

    async def delete_key(self, request: web.Request) -> web.Response:
        """Delete a key of the account."""
        session = self._session(request)
        key_id = whole_number(path_segment(request, _KEY_ID_SEGMENT) or "", _MAX_KEY_ID)
        if not await self._database.write(self._deleted, session, key_id):
            # Documented as 401. The token is valid, so the challenge names no error.
            message = "The API key belongs to another account."
            raise Refusal(401, message, headers=challenge(_REALM))
        return json_response({"message": "API key deleted successfully"})

    # The three methods below run in the database's thread. They check the caller first, so that an
    # unauthorized caller is refused before the request is read.

    def _created(self, connection: Connection, session: Session, body: Secret) -> dict[str, object]:
        _check_session(connection, session)
        nickname = text_field(json_object(body), "nickname")
        return rows.add_key(connection, session.account_id, nickname, iso(self._clock()))

    @staticmethod
    def _listed(connection: Connection, session: Session) -> list[dict[str, object]]:
        _check_session(connection, session)
        return rows.list_keys(connection, session.account_id)

    @staticmethod
    def _deleted(connection: Connection, session: Session, key_id: int | None) -> bool:
        _check_session(connection, session)
        if key_id is None:
            raise Refusal(404, "There is no API key with this id.")
        return rows.delete_key(connection, session.account_id, key_id)

    def _session(self, request: web.Request) -> Session:
        session = self._access_tokens.session(bearer_token(request, _REALM))
        if session is None:
            raise refused_token(_REALM)
        return session

    async def _account_id(
        self, credentials: BasicCredentials, gone: asyncio.Future[None] | None = None
    ) -> str | None:
        account = await self._database.read(rows.find_account, credentials.email)
        stored = None if account is None else account.password_hash
        right = await self._passwords.verify(stored, credentials.password, gone)
        return account.id if account and right else None

    def _new_refresh_token(self) -> tuple[Secret, sessions.RefreshToken]:
        token, now = Secret(secrets.token_urlsafe(32)), self._clock()
        expires_at = now + self._refresh_token_lifetime
        until = max(expires_at, now + self._access_tokens.lifetime)
        return token, sessions.RefreshToken(digest_of(token), expires_at, until)

    def _token_pair(self, session: Session, refresh_token: Secret) -> web.Response:
        access_token = self._access_tokens.issue(session)
        return json_response({"accessToken": access_token, "refreshToken": refresh_token})


def _check_session(connection: Connection, session: Session) -> None:
    if not sessions.is_open(connection, session):
        raise refused_token(_REALM)


def check_credentials(credentials: BasicCredentials) -> None:
    """Check that an account may have these credentials.

    Raises:
        Refusal: 400, if not.
    """
    email = credentials.email
    if not email:
        raise invalid("email is missing.", "email", code="required")
    well_formed = "@" in email.strip("@") and email.isprintable() and " " not in email
    if not well_formed or len(email) > _MAX_EMAIL_LENGTH or ":" in email:
        raise invalid("email is not an e-mail address.", "email")
    if not credentials.password:
        raise invalid("password is missing.", "password", code="required")
    if not is_storable(credentials.password.reveal()):
        raise invalid("password holds a NUL or a lone surrogate.", "password")
