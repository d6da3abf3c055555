"""The checks of all stores: invalid arguments, and unexpected content."""

from __future__ import annotations

from agentkeys import plain
from agentkeys.errors import InvalidArgumentError, StoreConflictError
from agentkeys.secret import Secret
from agentkeys.stores.contract.protocol import ABSENT, ANY, Expected, Version

__all__ = ["check_expected", "check_secret", "check_text", "check_timeout"]


def check_text(what: str, value: object) -> str:
    """Check a str that names a place: not empty, and without NUL."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be a str, not {type(value).__name__}")
    text = plain.text(value)
    if not text or "\0" in text:
        raise InvalidArgumentError(f"{what} is empty or contains a NUL")
    return text


def check_timeout(value: object) -> float:
    """Check a number of seconds above 0; `math.inf` means no limit."""
    if isinstance(value, int | float) and value > 0:
        return float(value)
    raise InvalidArgumentError("timeout must be more than 0 seconds; math.inf means no limit")


def check_secret(secret: object) -> Secret:
    """Check a value to store: a Secret that is not empty, because an empty one counts as none."""
    if not isinstance(secret, Secret):
        kind = type(secret).__name__
        del secret
        raise InvalidArgumentError(f"a store keeps a Secret, not {kind}: wrap it in Secret(...)")
    if not secret:
        raise InvalidArgumentError("the secret is empty, which a store would treat as no secret")
    if not _is_unicode(secret):
        raise InvalidArgumentError("the secret holds a lone surrogate, which UTF-8 cannot encode")
    return secret


def _is_unicode(secret: Secret) -> bool:
    try:
        secret.reveal().encode()
    except UnicodeEncodeError:  # the error holds the secret, so it is not raised
        return False
    return True


def check_expected(expected: Expected, found: Version, store: str) -> None:
    """Raise `StoreConflictError` if a store holds something other than expected."""
    if expected is ANY or expected == found:
        return
    if not isinstance(expected, Version):
        kind = type(expected).__name__
        raise InvalidArgumentError(f"expected must be ABSENT, ANY or a Version, not {kind}")
    if expected == ABSENT:
        reason = "already holds a secret"
    elif found == ABSENT:
        reason = "no longer holds a secret"
    else:
        reason = "holds another secret than the one that was read"
    raise StoreConflictError(f"{store} {reason}: it was not changed", store=store)
