"""The text of every error that concerns a request: what failed, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from agentkeys.errors import Applied
    from agentkeys.secret import Secret
    from agentkeys.transport.call.endpoint import Endpoint

__all__ = ["DOUBT", "STORE_IT", "doubted", "fact", "named", "sentence"]

STORE_IT: Final = "the new key's secret is in this error's `salvaged`: store it"
"""How a sentence ends if a secret was salvaged."""
DOUBT: Final = "; the service may have done it all the same: look before you do it again"
"""How a sentence ends if a call that must not be repeated may have been done."""


def sentence(
    endpoint: Endpoint[Any],
    what: str,
    advice: str = "",
    *,
    applied: Applied,
    salvaged: Secret | None = None,
) -> str:
    """Return the text of an error.

    If a call that must not be repeated may have been done, there is no *advice* that may be taken
    for "do it again", as "try again later" would: it would make a second key.
    """
    text = fact(endpoint, what)
    if salvaged is not None:
        return f"{text}: {STORE_IT}"
    if applied == "maybe" and not endpoint.idempotent:
        return doubted(text)
    return f"{text}: {advice}" if advice else text


def fact(endpoint: Endpoint[Any], what: str) -> str:
    """Return what happened to a call, without what to do about it."""
    return f"{named(endpoint)}: {what}"


def doubted(text: str) -> str:
    """Return *text* with what to do if it is not known whether something was done."""
    return f"{text}{DOUBT}"


def named(endpoint: Endpoint[Any]) -> str:
    """Name an endpoint in a sentence: ``DELETE /auth/api-keys/{id}``."""
    return f"{endpoint.method} {endpoint.path}"
