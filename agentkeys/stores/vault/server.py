"""How a Vault or an OpenBao is asked, and what its answers mean. All of it blocks."""

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
"""When the call ends, by the monotonic clock."""

_LARGEST: Final = 10 << 20
_CHUNK: Final = 64 << 10
_SHORTEST: Final = 0.001
_UPGRADING: Final = "unavailable for a brief period"  # a mount that was made just now
_TOO_LARGE: Final = "too large"
_INVALID_TOKEN: Final = ("invalid token", "bad token")
_REFUSALS: Final = {
    **dict.fromkeys(
        _INVALID_TOKEN, "the token is invalid or has expired: log in again, or set VAULT_TOKEN"
    ),
    _TOO_LARGE: "the secret, with its other fields, is too large for the server",
    "check-and-set parameter required": (
        "the mount or the secret requires check-and-set, for which the token must be permitted to"
        " read the secret"
    ),
}
"""What an error says, in small letters, and what that means."""

_STANDBY: Final = (
    "the server is a standby that sends to another address, to which the token is not sent: set"
    " VAULT_ADDR to the active server, or to the load balancer"
)
_SEALED: Final = "the server is sealed: somebody must unseal it"
_TRANSIENT: Final = frozenset({408, 412, 429, 500, 502, 503, 504})


@attrs.frozen
class Answer:
    """What was answered.

    Attributes:
        status: the status.
        body: the object in the body; empty if there is none.
    """

    status: int
    body: dict[str, Any] = attrs.field(repr=False)

    @property
    def data(self) -> dict[str, Any]:
        """What Vault calls the data; empty if there is none."""
        data = self.body.get("data")
        return data if isinstance(data, dict) else {}

    def says(self, *texts: str) -> bool:
        """Whether an error that the server names has one of these in it, in small letters."""
        errors = str(self.body.get("errors", "")).lower()
        return any(text in errors for text in texts)


class Server:
    """One server, with the connection to it, for as long as it is entered.

    Args:
        settings: which one, and what it is asked with.
        stop: is set when nobody waits for an answer any more.

    """

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self.settings = settings
        self._stop = stop
        self._session = requests.Session()
        self._session.cert = settings.certificate
        self._session.verify = settings.verify
        # Else requests takes a password out of ~/.netrc.
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
        """Return what is answered, whatever the status.

        Args:
            method: the method.
            path: the path, without ``/v1/``.
            openly: ask without the token and outside of the namespace.
            more: what `requests` takes.

        Raises:
            Lost: the answer is none of Vault's or too long, or nobody waits for it.

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
            # A token goes to the server that was named, and to no other one.
            allow_redirects=False,
            ignore_exceptions=True,
        )
        url = f"/v1/{quote(path)}"
        # What is not read to its end keeps its connection open, if it is not closed.
        with adapter.request(method, url, stream=True, timeout=_time_left(), **more) as response:
            return Answer(response.status_code, _read(response))


def meaning(answer: Answer, what: str) -> Exception | None:
    """Return what an answer means that is no success, or None if it is one.

    Only what is documented of an error's text is looked at, and nothing of the text is shown.

    Args:
        answer: what was answered.
        what: what was asked for: "read kv/data/ops".

    """
    status = answer.status
    if status < 300:
        return None
    if status == 400 and answer.says("check-and-set parameter did not match"):
        return Moved("somebody else changes it: try again")
    if status == 403 and not answer.says(*_INVALID_TOKEN):
        return Forbidden(f"the token is not permitted to {what}")
    if answer.says(_UPGRADING) or (status in _TRANSIENT and not answer.says(_TOO_LARGE)):
        is_sealed = answer.says("sealed")
        return Lost(_SEALED if is_sealed else f"the server answered {status}: try again later")
    return Refused(_refusal(answer) or f"the server answered {status} to: {what}")


def _refusal(answer: Answer) -> str:
    """Return what a refusal means, or "" if that is not known."""
    if 300 <= answer.status < 400:
        return _STANDBY
    if answer.status == 413:
        return _REFUSALS[_TOO_LARGE]
    if answer.status == 404:
        return "the server knows no such path: is VAULT_NAMESPACE right?"
    return next((said for text, said in _REFUSALS.items() if answer.says(text)), "")


def failure(error: Exception) -> Exception:
    """Return what an error of `requests` or of the system means. Nothing of its text is shown."""
    kind = type(error).__name__
    if isinstance(error, requests.exceptions.SSLError):
        return Lost(
            "there is no TLS connection to the server: name the certificates to trust in"
            f" VAULT_CACERT, or ours in VAULT_CLIENT_CERT and VAULT_CLIENT_KEY ({kind})"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return Lost("the server did not answer in time")
    if isinstance(
        error,
        requests.exceptions.ConnectionError
        | requests.exceptions.ChunkedEncodingError
        | requests.exceptions.ContentDecodingError,
    ):
        return Lost(f"there is no connection to the server, or it broke ({kind})")
    if isinstance(error, threads.NoThreadError):
        return Refused(str(error.strerror))
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return Refused(
            "a file cannot be used that VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT or"
            f" VAULT_CLIENT_KEY names ({kind})"
        )
    return Lost(f"it failed with {kind}")  # nobody knows when


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _time_left() -> float | None:
    left = ends.get() - time.monotonic()
    return None if left == math.inf else max(left, _SHORTEST)


def _read(response: requests.Response) -> dict[str, Any]:
    """Return the object of a body, which is not read further than an answer may be long."""
    content = bytearray()
    for chunk in response.iter_content(_CHUNK):
        content += chunk
        if len(content) > _LARGEST:
            raise Lost("the answer is longer than 10 MiB")
    if not content:
        return {}
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):  # it holds the body, so nothing is raised from here
        body = None
    if isinstance(body, dict):
        return body
    if response.ok:
        raise Lost("what answered is no Vault, or a part of its answer is missing")
    return {}
