"""The tokens of one login as text: with a proof of their password, and their age.

Every command imports this, so the classes do not use attrs, whose import takes 8 ms.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any, Final, NamedTuple, Self

from agentkeys.credentials import Token, checked_token
from agentkeys.errors import ConfigurationError
from agentkeys.filesystem import RefusedError
from agentkeys.secret import Secret

__all__ = ["Entry", "Proof", "file_name"]

_FORMAT: Final = 1
_TOKENS: Final = ("access_token", "refresh_token")
_ROUNDS: Final = 10_000
"""Two milliseconds, which a command spends to save a login."""
_PROOF_BYTES: Final = 2


class Proof(NamedTuple):
    """Recognizes a password other than the one that the tokens were fetched with.

    It is not an access control: a reader of the proof can also read the tokens beside it. So that
    the reader does not learn the password too, only two bytes of a salted digest are kept. One
    guess in 65,536 fits them, and only the service knows which of these guesses is right.
    """

    salt: str
    digest: str

    @classmethod
    def of(cls, password: Secret, salt: str | None = None) -> Self:
        """Return the proof of a password."""
        salt = os.urandom(16).hex() if salt is None else salt
        digest = hashlib.pbkdf2_hmac(
            "sha256",
            password.reveal().encode("utf-8", "surrogatepass"),
            salt.encode("utf-8", "surrogatepass"),
            _ROUNDS,
            _PROOF_BYTES,
        )
        return cls(salt, digest.hex())

    def fits(self, password: Secret) -> bool:
        """Return whether this is the proof of *password*."""
        return Proof.of(password, self.salt) == self


class Entry(NamedTuple):
    """The tokens of one login.

    Attributes:
        base_url: the address of the service; the tokens are sent nowhere else.
        account: the email.
        proof: the proof of the password.
        access_token: the JWT.
        refresh_token: valid once.
        obtained_at: when the tokens were received, in seconds since 1970.
    """

    base_url: str
    account: str
    proof: Proof
    access_token: Secret
    refresh_token: Secret
    obtained_at: float

    def token(self) -> Token | None:
        """Return the access token; None if it expires soon, or the clock was set back since."""
        age = time.time() - self.obtained_at
        token = Token.of_jwt(self.access_token, age=age)
        return token if age >= 0 and time.monotonic() < token.renew_at else None

    def encoded(self) -> Secret:
        """Return the text of the entry."""
        fields = {
            "format": _FORMAT,
            "base_url": self.base_url,
            "account": self.account,
            "salt": self.proof.salt,
            "proof": self.proof.digest,
            "obtained_at": self.obtained_at,
        }
        tokens = {name: getattr(self, name) for name in _TOKENS}
        return Secret(json.dumps(fields | tokens, default=Secret.reveal))

    @classmethod
    def decoded(cls, text: Secret) -> Self | None:
        """Read the text of an entry; return None if it is incomplete or not an entry.

        Raises:
            RefusedError: another version of agentkeys wrote it.
        """
        try:
            fields = json.loads(text.reveal(), object_hook=_sealed)
        except (ValueError, RecursionError):
            return None
        if not isinstance(fields, dict):
            return None
        form = fields.get("format")
        if isinstance(form, int) and form != _FORMAT:
            raise RefusedError(f"another version of agentkeys wrote it (format {form})")
        try:
            proof = Proof(_text(fields["salt"]), _text(fields["proof"]))
            return cls(
                _text(fields["base_url"]),
                _text(fields["account"]),
                proof,
                _secret(fields["access_token"]),
                _secret(fields["refresh_token"]),
                float(fields["obtained_at"]),
            )
        except (ConfigurationError, LookupError, TypeError, ValueError, OverflowError):
            return None


def file_name(base_url: str, account: str) -> str:
    """Return the file name for an account at a service; it holds no password."""
    return hashlib.sha256(f"{base_url}\0{account}".encode()).hexdigest()[:32]


def _sealed(fields: dict[str, Any]) -> dict[str, Any]:
    for name in _TOKENS:
        if isinstance(fields.get(name), str):
            fields[name] = Secret(fields[name])
    return fields


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return checked_token(value, "token")
    raise TypeError
