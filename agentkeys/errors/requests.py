"""Errors of a request, a setting or an argument, and the base class of all errors.

Catch `AgentKeysError` for all of them. An error that concerns a request says in `applied` whether
the service may have acted on the request. Read it before you repeat the request.

No error holds a header, a token, a body, or a foreign exception that holds one of these. Every
error survives pickle and copy, without `salvaged`, because `salvaged` is a secret.
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
    "ProfileError",
    "RateLimitError",
    "RequestError",
    "RequestFields",
    "ServerError",
    "TransportError",
    "UnprocessableError",
]

Applied: TypeAlias = Literal["no", "maybe", "yes"]
"""Whether the service acted on a request.

"no": it did not; the request was never sent, or the service refused it. "maybe": no complete answer
came, or the answer does not say. "yes": the request succeeded, but its answer cannot be used.
"""


class AgentKeysError(Exception):
    """The base class of every error that agentkeys raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException's own __reduce__ calls __init__ with `args` alone; ours takes keywords.
        return _rebuilt, (type(self), self.args, self._kept())

    def _kept(self) -> dict[str, object]:
        # `salvaged` is a secret, so a pickle leaves it out.
        return {k: None if k == "salvaged" else value for k, value in vars(self).items()}


def _rebuilt(
    kind: type[AgentKeysError], args: tuple[object, ...], state: dict[str, object]
) -> AgentKeysError:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(state)
    return error


class ConfigurationError(AgentKeysError):
    """A setting, an environment variable or an installed extra is missing or invalid.

    Attributes:
        applied: "no", unless the error ends a running call; see `RequestError`.
    """

    applied: Applied = "no"


class ProfileError(ConfigurationError):
    """A profile does not exist, others can change its file, or a value in it is invalid."""


class InvalidArgumentError(AgentKeysError, ValueError):
    """An argument is invalid. No request was sent.

    Attributes:
        applied: "no".
    """

    applied: Applied = "no"


class ClientClosedError(AgentKeysError):
    """The client was closed before the call, or, for a blocking client, during the call.

    Attributes:
        applied: "no" if the client was closed before the call: no request was sent. "maybe" if it
            was closed during the call.
    """

    def __init__(self, text: str, *, applied: Applied = "no") -> None:
        super().__init__(text)
        self.applied: Applied = applied


class RequestFields(TypedDict, total=False):
    """The attributes of `RequestError`, as keyword arguments of its subclasses."""

    method: str
    path: str
    attempts: int
    applied: Applied
    fact: str


class RequestError(AgentKeysError):
    """A request failed; the base class of every error that concerns a request.

    Attributes:
        method: the HTTP method of the request that failed.
        path: the path of the request, with every known secret masked.
        attempts: the number of tries: how often the request was sent, or could not be sent.
        applied: whether the service may have acted on the call: "no" (it never received the
            request, or refused it), "maybe" (no complete answer came, or the answer does not say),
            "yes" (it acted, but its answer cannot be used). If a login for the call fails,
            `method`, `path` and `attempts` describe the login, and `applied` describes the call.
        fact: the part of the text that says what happened, without the advice.
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
    """No complete answer came: the connection was refused, reset or cut short, or TLS failed.

    Attributes:
        lasting: whether a retry cannot help, e.g. if the certificate is not trusted; such a call is
            not retried.
        salvaged: on a create whose answer was cut short, the new key's secret if it had arrived,
            else None. Store it: the service never shows it again. Pickle and copy leave it out.
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
    """The call did not finish within its `timeout`."""


class DecodeError(RequestError):
    """The request succeeded, but its answer is not what the contract says.

    Attributes:
        json_path: the place in the answer, e.g. ``$.apiKeys[3].createdAt``; ``$`` is the whole
            answer.
        expected: what the contract says should be there.
        salvaged: on a create, the new key's secret if the answer held one, else None. Store it: the
            service never shows it again. Pickle and copy leave it out.
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
    """The service returned a page token twice in one listing.

    Attributes:
        page_token: the repeated token.
    """

    def __init__(
        self, text: str, *, page_token: str = "", **request: Unpack[RequestFields]
    ) -> None:
        request.setdefault("method", "GET")
        request.setdefault("applied", "yes")
        super().__init__(text, **request)
        self.page_token = page_token


class APIError(RequestError):
    """The service answered with an error, or with a redirect; redirects are never followed.

    Attributes:
        status: the HTTP status.
        code: the service's code for the error, or None.
        message: the service's message, or None. Secrets are masked, here and in `errors`.
        errors: the service's list of details, unchanged but for masked secrets; empty if there is
            none.
        request_id: the id to quote to the service's support, or None.
        retry_after: the seconds to wait before the next try, or None if the service did not say.
    """

    advice: ClassVar[str] = ""
    """What the caller can do about the error; part of the error's text."""

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
        """Return the error class for the HTTP status *status*."""
        return ServerError if 500 <= status <= 599 else _BY_STATUS.get(status, APIError)


class BadRequestError(APIError):
    """400: the service did not understand the request."""

    advice = "check the arguments"


class AuthenticationError(APIError):
    """401: the credentials are missing, wrong or expired, or the key belongs to someone else."""

    advice = "check the credentials"


class PermissionDeniedError(APIError):
    """403: the credentials are valid, but do not allow this request."""

    advice = "use credentials that are allowed to do this"


class NotFoundError(APIError):
    """404: the resource does not exist, or these credentials cannot see it."""

    advice = "check the id, and that these credentials can see it"


class ConflictError(APIError):
    """409: the resource already exists."""

    advice = "choose another name"


class UnprocessableError(APIError):
    """422: the service understood the request, and rejects its content."""

    advice = "check the arguments"


class RateLimitError(APIError):
    """429: too many requests; `retry_after` is the number of seconds to wait, if known."""

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
