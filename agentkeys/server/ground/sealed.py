"""Secret bytes, as a `Secret` that no traceback shows."""

from __future__ import annotations

from agentkeys.secret import Secret


def sealed(raw: bytes) -> Secret:
    """Return *raw* as a Secret; call it on the first line that sees *raw*."""
    return Secret(raw.decode("latin-1"))


def opened(secret: Secret) -> bytes:
    """Return the argument of `sealed`; do not keep it in a variable."""
    return secret.reveal().encode("latin-1")
