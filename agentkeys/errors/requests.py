"""What can go wrong, as one tree of exceptions.

Catch `AgentKeysError` for all of it. An error that concerns a request says in `applied` whether
the service may have acted on it; that is what a caller must know before doing it again.

No error holds a header, a token, a body, or a foreign exception that does. Every one survives
pickle and copy; only what it `salvaged` stays behind, for that is a secret.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal, TypeAlias, TypedDict, Unpack

from agentkeys.secret import Secret

__all__ = [
    "APIError",
    "AgentKeysError",
    "Applied",
    "AuthenticationError",
    "BadRequestError",
    "ClientClosedError",
    "ConfigurationError",
    "ConflictError",
    "DeadlineExceededError",
    "DecodeError",
    "InvalidArgumentError",
    "NotFoundError",
    "PaginationError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestError",
    "RequestFields",
    "ServerError",
    "TransportError",
    "UnprocessableError",
]

Applied: TypeAlias = Literal["no", "maybe", "yes"]
"""Whether the service acted on a request: "no" (it was never sent, or was refused), "maybe" (no
whole answer came, or one that does not tell), "yes" (it succeeded, but its answer is unusable)."""


class AgentKeysError(Exception):
    """The root of every error that agentkeys raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException's own way calls __init__ with `args` alone, and ours take keywords.
        return _rebuilt, (type(self), self.args, self._kept())

    def _kept(self) -> dict[str, object]:
        # What was salvaged is a secret, and must not travel with a pickle.
        return {k: None if k == "salvaged" else value for k, value in vars(self).items()}


def _rebuilt(
    kind: type[AgentKeysError], args: tuple[object, ...], state: dict[str, object]
) -> AgentKeysError:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(state)
    return error


class ConfigurationError(AgentKeysError):
    """A setting, an environment variable or an installed extra is missing or cannot be used.

    Attributes:
        applied: "no", unless it ends a call that was under way; see `RequestError`.
    """

    applied: Applied = "no"


class InvalidArgumentError(AgentKeysError, ValueError):
    """An argument cannot be right. Nothing was sent.

    Attributes:
        applied: "no".
    """

    applied: Applied = "no"


class ClientClosedError(AgentKeysError):
    """The client was closed before the call, or, if it is a blocking one, during it.

    Attributes:
        applied: "no" before the call: nothing was sent. "maybe" during it.
    """

    def __init__(self, text: str, *, applied: Applied = "no") -> None:
        super().__init__(text)
        self.applied: Applied = applied


class RequestFields(TypedDict, total=False):
    """What every `RequestError` is made of, beside its text: its attributes, by their names."""

    method: str
    path: str
    attempts: int
    applied: Applied
    fact: str


class RequestError(AgentKeysError):
    """A request failed: the base of every error that concerns one.

    Attributes:
        method: the HTTP method of the request that failed.
        path: its path, with every secret that is known masked.
        attempts: how many times it was sent, or tried to be.
        applied: whether the service may have acted on the call: "no" (it never got the request,
            or refused it), "maybe" (no whole answer came, or one that does not tell), "yes" (it
            did, but its answer cannot be used). If the login that a call needed fails, `method`,
            `path` and `attempts` are the login's and `applied` is the call's.
        fact: the part of the text that says what happened, without what to do about it.
    """

    def __init__(
        self,
        text: str,
        *,
        method: str = "",
        path: str = "",
        attempts: int = 1,
        applied: Applied = "maybe",
        fact: str = "",
    ) -> None:
        super().__init__(text)
        self.method = method
        self.path = path
        self.attempts = attempts
        self.applied: Applied = applied
        self.fact = fact or text


class TransportError(RequestError):
    """No whole answer came: refused, reset, unreachable, TLS, or an answer that was cut short.

    Attributes:
        lasting: whether it will be the same in a moment, e.g. a certificate that is not trusted, so
            that the call was not tried again.
        salvaged: on a create whose answer was cut short, the new key's secret if it had come by
            then, else None. Store it: it cannot be had again. Pickle and copy leave it behind.
    """

    def __init__(
        self,
        text: str,
        *,
        lasting: bool = False,
        salvaged: Secret | None = None,
        **request: Unpack[RequestFields],
    ) -> None:
        super().__init__(text, **request)
        self.lasting = lasting
        self.salvaged = salvaged


class DeadlineExceededError(RequestError, TimeoutError):
    """The call did not end within its `timeout`."""


class DecodeError(RequestError):
    """The service succeeded, but its answer is not what the contract says.

    Attributes:
        json_path: where in the answer, e.g. ``$.apiKeys[3].createdAt``; ``$`` is all of it.
        expected: what should have stood there.
        salvaged: on a create, the new key's secret if the answer held one, else None. Store it:
            it cannot be had again. Pickle and copy leave it behind.
    """

    def __init__(
        self,
        text: str,
        *,
        json_path: str = "$",
        expected: str = "",
        salvaged: Secret | None = None,
        **request: Unpack[RequestFields],
    ) -> None:
        request.setdefault("applied", "yes")
        super().__init__(text, **request)
        self.json_path = json_path
        self.expected = expected
        self.salvaged = salvaged


class PaginationError(RequestError):
    """The service gave a page token that it had given before in this listing.

    Attributes:
        page_token: the token that came again.
    """

    def __init__(
        self, text: str, *, page_token: str = "", **request: Unpack[RequestFields]
    ) -> None:
        request.setdefault("method", "GET")
        request.setdefault("applied", "yes")
        super().__init__(text, **request)
        self.page_token = page_token


class APIError(RequestError):
    """The service answered with an error, or with a redirect, which is never followed.

    Attributes:
        status: the HTTP status.
        code: the service's own name of the error, if it gave one.
        message: the service's own sentence, or None. Secrets are masked, here and in `errors`.
        errors: the service's list of details, as it came; empty if there was none.
        request_id: what to quote to the service's support, if it gave one.
        retry_after: seconds to wait before the next try, if the service said.
    """

    advice: ClassVar[str] = ""
    """What a caller can do about it; part of the error's text."""

    def __init__(
        self,
        text: str,
        *,
        status: int,
        code: str | None = None,
        message: str | None = None,
        errors: tuple[object, ...] = (),
        request_id: str | None = None,
        retry_after: float | None = None,
        **request: Unpack[RequestFields],
    ) -> None:
        super().__init__(text, **request)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors
        self.request_id = request_id
        self.retry_after = retry_after

    @staticmethod
    def kind(status: int) -> type[APIError]:
        """Return the class of error that stands for *status*."""
        return ServerError if 500 <= status <= 599 else _BY_STATUS.get(status, APIError)


class BadRequestError(APIError):
    """400: the service did not understand the request."""

    advice = "check the arguments"


class AuthenticationError(APIError):
    """401: the credentials are missing, wrong or expired, or the key belongs to somebody else."""

    advice = "check the credentials"


class PermissionDeniedError(APIError):
    """403: the credentials are good, but do not allow this."""

    advice = "use credentials that are allowed to do this"


class NotFoundError(APIError):
    """404: there is no such thing, or these credentials may not see it."""

    advice = "check the id, and that these credentials can see it"


class ConflictError(APIError):
    """409: it exists already."""

    advice = "choose another name"


class UnprocessableError(APIError):
    """422: the service understood the request and refuses its content."""

    advice = "check the arguments"


class RateLimitError(APIError):
    """429: too many requests; `retry_after` says when to try again, if the service said."""

    advice = "send fewer requests, or give the call a longer timeout"


class ServerError(APIError):
    """5xx: the service failed; it may have acted on the request."""

    advice = "try again later"


_BY_STATUS: Final[dict[int, type[APIError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableError,
    429: RateLimitError,
}
