"""The text of every error that concerns a request: what failed, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentkeys.errors import Applied
    from agentkeys.secret import Secret
    from agentkeys.transport.call.endpoint import Endpoint

__all__ = ["DOUBT", "STORE_IT", "doubted", "fact", "named", "sentence"]

STORE_IT: Final = "the new key's secret is in this error's `salvaged`: store it"
"""The end of an error's text if a secret was salvaged."""
DOUBT: Final = "; the service may have acted on it: check before you repeat the call"
"""The end of an error's text if a call that must not be repeated may have succeeded."""


def sentence(
    endpoint: Endpoint[Any],
    what: str,
    advice: str = "",
    *,
    applied: Applied,
    salvaged: Secret | None = None,
) -> str:
    """Return the text of an error.

    If a call that must not be repeated may have succeeded, *advice* is left out: advice like "try
    again later" would make a second key.
    """
    text = fact(endpoint, what)
    if salvaged is not None:
        return f"{text}: {STORE_IT}"
    if applied == "maybe" and not endpoint.idempotent:
        return doubted(text)
    return f"{text}: {advice}" if advice else text


def fact(endpoint: Endpoint[Any], what: str) -> str:
    """Return what happened to a call, without the advice."""
    return f"{named(endpoint)}: {what}"


def doubted(text: str) -> str:
    """Return *text* with the advice for a call that may have succeeded."""
    return f"{text}{DOUBT}"


def named(endpoint: Endpoint[Any]) -> str:
    """Return the name of an endpoint for a text: ``DELETE /auth/api-keys/{id}``."""
    return f"{endpoint.method} {endpoint.path}"
