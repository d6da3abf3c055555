"""The requests of the Kubernetes API that a store makes, and their answers."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from agentkeys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CREATE",
    "DELETE",
    "GET",
    "GET_NAMESPACE",
    "MANAGED",
    "MOST",
    "PATCH",
    "REVIEW",
    "Answer",
    "Others",
    "Request",
    "encoded",
    "text_of",
]

MANAGED: Final = {"app.kubernetes.io/managed-by": "agentkeys"}
"""The label of a Secret that this package created, and may delete when it is empty."""

MOST: Final = 1 << 20
"""The largest size of all values of a Secret in bytes (Kubernetes' documentation, Secrets)."""

_CODE: Final = re.compile(r"[A-Za-z]{1,40}")
_SOON: Final = 1.0
_LEAST: Final = 0.1
"""The shortest pause before a request to a busy server is repeated; the server may say 0."""


@attrs.frozen
class Request:
    """One kind of request.

    Attributes:
        method: its HTTP method.
        path: its path, with ``{namespace}`` and ``{name}``.
        form: the media type of its body.
    """

    method: str
    path: str
    form: str = "application/json"


_SECRETS: Final = "/api/v1/namespaces/{namespace}/secrets"
GET: Final = Request("GET", f"{_SECRETS}/{{name}}")
CREATE: Final = Request("POST", _SECRETS)
PATCH: Final = Request("PATCH", f"{_SECRETS}/{{name}}", "application/merge-patch+json")
DELETE: Final = Request("DELETE", f"{_SECRETS}/{{name}}")
GET_NAMESPACE: Final = Request("GET", "/api/v1/namespaces/{namespace}")
REVIEW: Final = Request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")


@attrs.frozen
class Answer:
    """An answer of the API server.

    Attributes:
        status: its HTTP status.
        body: its body, which may hold secrets.
        pause: the seconds to wait before a retry, if the server is busy.
    """

    status: int
    body: Secret
    pause: float = _SOON

    @classmethod
    def of(cls, status: int, body: Secret, headers: Mapping[str, str]) -> Answer:
        """Return an answer with the values of its headers."""
        pause = headers.get("Retry-After", "")
        return cls(status, body, max(_LEAST, float(pause)) if pause.isdecimal() else _SOON)

    @property
    def object(self) -> dict[str, Any]:
        """The object in the body; an empty one if there is none."""
        try:
            found = json.loads(self.body.reveal())
        except ValueError:  # e.g. the page of a proxy
            found = None
        return found if isinstance(found, dict) else {}

    @property
    def is_of_the_api(self) -> bool:
        """Whether the body is an object of the API, as all of the API's bodies are."""
        return "kind" in self.object

    @property
    def label(self) -> str:
        """The status and its code, for a text: ``409 AlreadyExists``."""
        code = str(self.object.get("reason", ""))
        return f"{self.status} {code}" if _CODE.fullmatch(code) else str(self.status)

    def is_caused_by(self, code: str) -> bool:
        """Return whether the server names this as a cause."""
        details = self.object.get("details") or {}
        return any(cause.get("reason") == code for cause in details.get("causes") or [])


@attrs.frozen
class Others:
    """The content of a Secret other than our key. None of it is secret.

    Attributes:
        count: the number of other keys.
        size: the size of their values in bytes.
        type: the type of the Secret.
        is_immutable: whether its values can never be changed.
        is_managed: whether this package created it.
    """

    count: int
    size: int
    type: str
    is_immutable: bool
    is_managed: bool

    @classmethod
    def of(cls, found: dict[str, Any], key: str) -> Others:
        """Return the content of a Secret other than *key*."""
        others = [value for name, value in (found.get("data") or {}).items() if name != key]
        labels = found["metadata"].get("labels") or {}
        return cls(
            count=len(others),
            size=sum(len(value) * 3 // 4 - value.count("=") for value in others),
            type=found.get("type", ""),
            is_immutable=bool(found.get("immutable")),
            # A Secret with a finalizer would stay, with its content, until another program releases
            # it.
            is_managed=MANAGED.items() <= labels.items()
            and not found["metadata"].get("finalizers"),
        )


def encoded(secret: Secret) -> str:
    """Return a secret as it is written in the `data` of a Secret."""
    return base64.b64encode(secret.reveal().encode()).decode()


def text_of(value: str) -> Secret | None:
    """Return the text of a value of `data`; None if it is not text."""
    try:
        return Secret(base64.b64decode(value).decode())
    except (binascii.Error, UnicodeDecodeError):  # the error holds the value, so it is not raised
        return None
