"""What sees each call and each try of a client: the protocol, and what it is told.

A *call* is what a method does, with its login, waits and retries. A *try* is one request. Here
lives no exporter but the one for OpenTelemetry, which is an extra.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import attrs

from agentkeys.errors import Applied

__all__ = ["Call", "Observer", "Outcome"]


@attrs.frozen(eq=False)
class Call:
    """A call that is under way. It is a dictionary key by identity, so an observer can find it.

    Attributes:
        service: the name of the service, e.g. "Agentry".
        method: the HTTP method.
        route: the path as the documentation has it, e.g. ``/auth/api-keys/{id}``.
        path: the path that is requested, percent-encoded; secrets are masked.
        base_url: the address of the service, without a slash at the end.
    """

    service: str
    method: str
    route: str
    path: str
    base_url: str


@attrs.frozen
class Outcome:
    """How a try, or a call, has ended.

    Attributes:
        tries: the number of the try, from 1; of a call, how many tries it made.
        seconds: how long it took.
        status: the HTTP status of the (last) answer, or None if there was no whole answer.
        error: the name of the error's class, e.g. "RateLimitError"; None if there was no error.
            It is "CancelledError" for a try that was cut off.
        request_id: what the service calls the request, if it says so; secrets are masked.
        applied: whether the service has acted on it: "no", "maybe" or "yes".
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
    """Sees the calls and the tries of a client; pass it as ``observers=[...]``.

    Inherit from it and define the methods that you need; the others do nothing. They are called in
    the loop of the call, so they must not block. What they raise does not change the call: it is
    logged once, by the name of its class. None of what they get holds a secret.

    A login or a renewal that a call needs is a call of its own, which ends before the one that
    needs it goes on.
    """

    def begin_call(self, call: Call) -> None:
        """See that a call begins."""
        return

    def begin_try(self, call: Call, number: int) -> None:
        """See that a try begins; *number* counts from 1."""
        return

    def end_try(self, call: Call, outcome: Outcome) -> None:
        """See how a try has ended."""
        return

    def end_call(self, call: Call, outcome: Outcome) -> None:
        """See how a call has ended. This comes for each call that began."""
        return
