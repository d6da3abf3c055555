"""Agentity's access tokens: short-lived JWTs, signed with HS256 (Agentity's documentation)."""

from __future__ import annotations

import functools
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import jwt

from agentkeys.secret import Secret
from agentkeys.server.agentity.sessions import Session
from agentkeys.server.ground.sealed import opened

if TYPE_CHECKING:
    from agentkeys.server.ground.clock import Clock

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "agentkeys.server"
_CLAIMS: Final = ("exp", "iat", "iss", "sid", "sub")
# Below this, a whole second is too coarse: a token of half a second would be already expired when
# it is issued.
_SHORT_LIFETIME: Final = 60.0
_REMEMBERED: Final = 256


class _Claims(NamedTuple):
    """The claims of a token that count after its signature was checked."""

    session: Session
    expires: float


class AccessTokens:
    """Issues access tokens, and returns their sessions.

    Args:
        key: the key to sign them with.
        lifetime: seconds until a token expires. From one minute on, `iat` and `exp` are whole
            seconds, as with most services; below, they have fractions.
        clock: returns the time.
    """

    def __init__(self, key: Secret, lifetime: float, clock: Clock) -> None:
        self._key = key
        self._lifetime = lifetime
        self._clock = clock
        # The result of a signature check never changes, and each request needs it.
        self._claims = functools.lru_cache(_REMEMBERED)(functools.partial(_verified, key))

    @property
    def lifetime(self) -> float:
        """Seconds until a token expires."""
        return self._lifetime

    def issue(self, session: Session) -> Secret:
        """Return a new access token of the session."""
        issued, expires = _validity(self._clock(), self._lifetime)
        claims = {
            "iss": _ISSUER,
            "sub": session.account_id,
            "sid": session.id,
            "iat": issued,
            "exp": expires,
            "jti": secrets.token_hex(8),
        }
        return Secret(jwt.encode(claims, opened(self._key), algorithm=_ALGORITHM))

    def session(self, token: Secret) -> Session | None:
        """Return the session of *token*, which may have ended; None if the token is not valid."""
        claims = self._claims(token)
        return claims.session if claims and self._clock() < claims.expires else None


def _verified(key: Secret, token: Secret) -> _Claims | None:
    try:
        claims = jwt.decode(
            token.reveal(),
            opened(key),
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            # PyJWT would cut exp to a whole second, and read the clock of the machine.
            options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
        )
    except jwt.PyJWTError:
        return None
    return _Claims(Session(str(claims["sid"]), str(claims["sub"])), float(claims["exp"]))


def _validity(now: float, lifetime: float) -> tuple[float, float]:
    if lifetime < _SHORT_LIFETIME:
        return now, now + lifetime
    return int(now), int(now) + int(lifetime)
