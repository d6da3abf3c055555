"""What every store refuses: arguments that cannot be right, and what was not expected."""

from __future__ import annotations

from agentkeys import plain
from agentkeys.errors import InvalidArgumentError, StoreConflictError
from agentkeys.secret import Secret
from agentkeys.stores.contract.protocol import ABSENT, ANY, Expected, Version

__all__ = ["check_expected", "check_secret", "check_text", "check_timeout"]


def check_text(what: str, value: object) -> str:
    """Check a str that names a place: not empty, and no NUL in it."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be a str, not {type(value).__name__}")
    text = plain.text(value)
    if not text or "\0" in text:
        raise InvalidArgumentError(f"{what} is empty or has a NUL in it")
    return text


def check_timeout(value: object) -> float:
    """Check a number of seconds above 0; `math.inf` waits for ever."""
    if isinstance(value, int | float) and value > 0:
        return float(value)
    raise InvalidArgumentError("timeout must be more than 0 seconds; math.inf waits for ever")


def check_secret(secret: object) -> Secret:
    """Check what is to be kept: a Secret, and not an empty one, which counts as none."""
    if not isinstance(secret, Secret):
        kind = type(secret).__name__
        del secret
        raise InvalidArgumentError(f"a store keeps a Secret, not {kind}: wrap it in Secret(...)")
    if not secret:
        raise InvalidArgumentError("the secret is empty, and a store would take it for none")
    if not _is_unicode(secret):
        raise InvalidArgumentError("the secret holds a lone surrogate, which is no character")
    return secret


def _is_unicode(secret: Secret) -> bool:
    try:
        secret.reveal().encode()
    except UnicodeEncodeError:  # it holds the secret, so nothing is raised from here
        return False
    return True


def check_expected(expected: Expected, found: Version, store: str) -> None:
    """Raise `StoreConflictError` if a store holds something else than was expected."""
    if expected is ANY or expected == found:
        return
    if not isinstance(expected, Version):
        kind = type(expected).__name__
        raise InvalidArgumentError(f"expected must be ABSENT, ANY or a Version, not {kind}")
    if expected == ABSENT:
        reason = "holds a secret already"
    elif found == ABSENT:
        reason = "holds no secret any more"
    else:
        reason = "holds another secret than the one that was read"
    raise StoreConflictError(f"{store} {reason}: it was left as it is", store=store)
