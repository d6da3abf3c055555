"""Observe each call and each try of a client: the protocol, and its arguments.

A *call* is one method call, with its login, waits and retries. A *try* is one request. The only
exporter here is the one for OpenTelemetry, which is an extra.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import attrs

from agentkeys.errors import Applied

__all__ = ["Call", "Observer", "Outcome"]


@attrs.frozen(eq=False)
class Call:
    """A running call. It is hashed by identity, so an observer can use it as a dictionary key.

    Attributes:
        service: the name of the service, e.g. "Agentry".
        method: the HTTP method.
        route: the path in the documentation, e.g. ``/auth/api-keys/{id}``.
        path: the requested path, percent-encoded; secrets are masked.
        base_url: the address of the service, without a slash at the end.
    """

    service: str
    method: str
    route: str
    path: str
    base_url: str


@attrs.frozen
class Outcome:
    """How a try, or a call, ended.

    Attributes:
        tries: for a try, its number from 1; for a call, the number of its tries.
        seconds: how long it took.
        status: the HTTP status of the (last) answer, or None if there was no complete answer.
        error: the name of the error's class, e.g. "RateLimitError"; None if there was no error. It
            is "CancelledError" for a try that was cut off.
        request_id: the service's id of the request, or None; secrets are masked.
        applied: whether the service acted on it: "no", "maybe" or "yes".
    """

    tries: int
    seconds: float
    status: int | None
    error: str | None
    request_id: str | None
    applied: Applied

    def fields(self) -> dict[str, Any]:
        """Return the attributes by name, for a structured log."""
        return attrs.asdict(self)


@runtime_checkable
class Observer(Protocol):
    """Observes the calls and the tries of a client; pass it as ``observers=[...]``.

    Inherit from this class and override the methods that you need; the others do nothing. The
    methods run in the loop of the call, so they must not block. Their exceptions do not change the
    call: each is logged once, by the name of its class. None of their arguments holds a secret.

    If a call needs a login or a renewal, this is a call of its own, which ends before the first
    call continues.
    """

    def begin_call(self, call: Call) -> None:
        """Handle the start of a call."""
        return

    def begin_try(self, call: Call, number: int) -> None:
        """Handle the start of a try; *number* counts from 1."""
        return

    def end_try(self, call: Call, outcome: Outcome) -> None:
        """Handle the end of a try."""
        return

    def end_call(self, call: Call, outcome: Outcome) -> None:
        """Handle the end of a call. It is called once for each `begin_call`."""
        return
