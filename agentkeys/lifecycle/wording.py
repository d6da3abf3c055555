"""What errors say once something was done about them."""

from __future__ import annotations

from typing import Any, TypeVar

from agentkeys.errors import AgentKeysError
from agentkeys.transport.wording import DOUBT, STORE_IT

__all__ = ["fact", "request_of", "retold", "shown", "with_length"]

ErrorT = TypeVar("ErrorT", bound=AgentKeysError)


def fact(error: AgentKeysError) -> str:
    """Return what *error* says happened, without its advice on what we have done already."""
    return str(error).removesuffix(DOUBT).removesuffix(STORE_IT).rstrip(": ")


def retold(error: ErrorT, more: str) -> ErrorT:
    """Return *error*, whose text says *more* now, instead of its advice."""
    error.args = (f"{fact(error)}; {more}",)
    return error


def with_length(error: ErrorT, sent: str, given: str) -> ErrorT:
    """Add to a refusal of what was sent that the name was longer than the caller's."""
    if getattr(error, "status", None) not in {400, 422}:
        return error
    more = len(sent) - len(given)
    return retold(error, f"the name got {more} characters more (exact_name leaves them out)")


def request_of(error: AgentKeysError) -> dict[str, Any]:
    """Return what *error* knows of the request that failed."""
    names = ("method", "path", "attempts", "applied")
    return {name: getattr(error, name) for name in names if hasattr(error, name)}


def shown(path: object) -> str:
    """Return a path for a sentence: whoever named the file, no terminal obeys what it says."""
    text = str(path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
