"""Send requests to a Vault or OpenBao, and interpret the answers. All of it blocks."""

from __future__ import annotations

import json
import math
import threading
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import attrs

from agentkeys import threads
from agentkeys.errors import ConfigurationError
from agentkeys.stores.contract.remote import Forbidden, Lost, Moved
from agentkeys.stores.vault.settings import Refused, Settings

try:
    import hvac.adapters  # type: ignore[import-untyped]  # it has no types
    import requests
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "hvac":
        raise
    raise ConfigurationError(
        "the Vault store needs hvac: pip install 'agentkeys-sdk[vault]'"
    ) from None

__all__ = ["Answer", "Server", "ends", "failure", "meaning"]

ends: Final[ContextVar[float]] = ContextVar("ends", default=math.inf)
"""The deadline of the call, by the monotonic clock."""

_LARGEST: Final = 10 << 20
_CHUNK: Final = 64 << 10
_SHORTEST: Final = 0.001
_UPGRADING: Final = "unavailable for a brief period"  # a mount that was just created
_TOO_LARGE: Final = "too large"
_INVALID_TOKEN: Final = ("invalid token", "bad token")
_REFUSALS: Final = {
    **dict.fromkeys(
        _INVALID_TOKEN, "the token is invalid or has expired: log in again, or set VAULT_TOKEN"
    ),
    _TOO_LARGE: "the secret, with its other fields, is too large for the server",
    "check-and-set parameter required": (
        "the mount or the secret requires check-and-set, which needs a token that is permitted to"
        " read the secret"
    ),
}
"""The meaning of an error's text, by a lower-case part of the text."""

_STANDBY: Final = (
    "the server is a standby that redirects to another address, where the token is not sent: set"
    " VAULT_ADDR to the active server, or to the load balancer"
)
_SEALED: Final = "the server is sealed: unseal it"
_TRANSIENT: Final = frozenset({408, 412, 429, 500, 502, 503, 504})


@attrs.frozen
class Answer:
    """An answer.

    Attributes:
        status: the HTTP status.
        body: the object in the body; empty if there is none.
    """

    status: int
    body: dict[str, Any] = attrs.field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        """Vault's data in the body; empty if there is none."""
        data = self.body.get("data")
        return data if isinstance(data, dict) else {}

    def says(self, *texts: str) -> bool:
        """Whether the server's errors contain one of these texts, in lower case."""
        errors = str(self.body.get("errors", "")).lower()
        return any(text in errors for text in texts)


class Server:
    """A server with its connection, while it is entered.

    Args:
        settings: the server and the token.
        stop: an event that says that nobody waits for an answer any more.
    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self.settings = settings
        self._stop = stop
        self._session = requests.Session()
        self._session.cert = settings.certificate
        self._session.verify = settings.verify
        # Without this, requests would send a password from ~/.netrc.
        self._session.auth = _as_it_is
        # A server on this machine is not behind a proxy.
        self._session.trust_env = not settings.is_local

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def ask(self, method: str, path: str, *, openly: bool = False, **more: Any) -> Answer:
        """Return the answer, whatever its status.

        Args:
            method: the HTTP method.
            path: the path, without ``/v1/``.
            openly: send the request without the token and outside of the namespace.
            more: further arguments of `requests`.

        Raises:
            Lost: the answer is too long or not from Vault, or nobody waits for it.
        """
        if self._stop.is_set():
            raise Lost("the call has ended")
        settings = self.settings
        adapter = hvac.adapters.RawAdapter(
            base_uri=settings.url,
            token=None if openly else settings.token.reveal(),
            namespace=None if openly else settings.namespace,
            session=self._session,
            verify=settings.verify,
            # The token goes only to the configured server.
            allow_redirects=False,
            ignore_exceptions=True,
        )
        url = f"/v1/{quote(path)}"
        # A response that is not read to its end keeps its connection open until it is closed.
        with adapter.request(method, url, stream=True, timeout=_time_left(), **more) as response:
            return Answer(response.status_code, _read(response))


def meaning(answer: Answer, what: str) -> Exception | None:
    """Return the meaning of an answer that is not a success, or None if it is one.

    Only the documented part of an error's text is read, and none of the text is shown.

    Args:
        answer: the answer.
        what: the request, for the error: "read kv/data/ops".
    """
    status = answer.status
    if status < 300:
        return None
    if status == 400 and answer.says("check-and-set parameter did not match"):
        return Moved("another program is changing it: try again")
    if status == 403 and not answer.says(*_INVALID_TOKEN):
        return Forbidden(f"the token is not permitted to {what}")
    if answer.says(_UPGRADING) or (status in _TRANSIENT and not answer.says(_TOO_LARGE)):
        is_sealed = answer.says("sealed")
        return Lost(_SEALED if is_sealed else f"the server answered {status}: try again later")
    return Refused(_refusal(answer) or f"the server answered {status} to: {what}")


def _refusal(answer: Answer) -> str:
    """Return the meaning of a refusal, or "" if it is not known."""
    if 300 <= answer.status < 400:
        return _STANDBY
    if answer.status == 413:
        return _REFUSALS[_TOO_LARGE]
    if answer.status == 404:
        return "the server does not know this path: check VAULT_NAMESPACE"
    return next((said for text, said in _REFUSALS.items() if answer.says(text)), "")


def failure(error: Exception) -> Exception:
    """Return the meaning of an error of `requests` or the system. None of its text is shown."""
    kind = type(error).__name__
    if isinstance(error, requests.exceptions.SSLError):
        return Lost(
            "the TLS connection to the server failed: name the certificates to trust in"
            f" VAULT_CACERT, or your own in VAULT_CLIENT_CERT and VAULT_CLIENT_KEY ({kind})"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return Lost("the server did not answer in time")
    if isinstance(
        error,
        requests.exceptions.ConnectionError
        | requests.exceptions.ChunkedEncodingError
        | requests.exceptions.ContentDecodingError,
    ):
        return Lost(f"the connection to the server failed or broke ({kind})")
    if isinstance(error, threads.NoThreadError):
        return Refused(str(error.strerror))
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return Refused(
            "the file in VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT or"
            f" VAULT_CLIENT_KEY cannot be used ({kind})"
        )
    return Lost(f"it failed with {kind}")  # it may have been sent


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _time_left() -> float | None:
    left = ends.get() - time.monotonic()
    return None if left == math.inf else max(left, _SHORTEST)


def _read(response: requests.Response) -> dict[str, Any]:
    """Return the object of a body; read no more than the limit of an answer."""
    content = bytearray()
    for chunk in response.iter_content(_CHUNK):
        content += chunk
        if len(content) > _LARGEST:
            raise Lost("the answer is longer than 10 MiB")
    if not content:
        return {}
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):  # the error holds the body, so it is not raised
        body = None
    if isinstance(body, dict):
        return body
    if response.ok:
        raise Lost("the answer is not from Vault, or a part of it is missing")
    return {}
