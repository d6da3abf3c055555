"""The requests of the Kubernetes API that a store makes, and what their answers hold."""

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
"""The label of a Secret that this package has made, and may delete when it is empty."""

MOST: Final = 1 << 20
"""The bytes of all values of a Secret together (Kubernetes' documentation, Secrets)."""

_CODE: Final = re.compile(r"[A-Za-z]{1,40}")
_SOON: Final = 1.0
_LEAST: Final = 0.1
"""The shortest pause before a busy server is asked again; the server may say 0."""


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
        pause: the seconds after which to ask again, if the server is busy.
    """

    status: int
    body: Secret
    pause: float = _SOON

    @classmethod
    def of(cls, status: int, body: Secret, headers: Mapping[str, str]) -> Answer:
        """Return an answer with what its headers say."""
        pause = headers.get("Retry-After", "")
        return cls(status, body, max(_LEAST, float(pause)) if pause.isdecimal() else _SOON)

    @property
    def object(self) -> dict[str, Any]:
        """The object in the body; an empty one if there is none."""
        try:
            found = json.loads(self.body.reveal())
        except ValueError:  # the page of a proxy, say
            found = None
        return found if isinstance(found, dict) else {}

    @property
    def is_of_the_api(self) -> bool:
        """Whether the body is an object of the API, as all of its bodies are."""
        return "kind" in self.object

    @property
    def label(self) -> str:
        """The status and its code, for a sentence: ``409 AlreadyExists``."""
        code = str(self.object.get("reason", ""))
        return f"{self.status} {code}" if _CODE.fullmatch(code) else str(self.status)

    def is_caused_by(self, code: str) -> bool:
        """Return whether the server names this as a cause."""
        details = self.object.get("details") or {}
        return any(cause.get("reason") == code for cause in details.get("causes") or [])


@attrs.frozen
class Others:
    """What a Secret holds besides our key. None of it is secret.

    Attributes:
        count: how many other keys there are.
        size: the bytes of their values.
        type: what kind of Secret it is.
        is_immutable: whether its values can never be changed.
        is_managed: whether this package has made it.
    """

    count: int
    size: int
    type: str
    is_immutable: bool
    is_managed: bool

    @classmethod
    def of(cls, found: dict[str, Any], key: str) -> Others:
        """Return what a Secret holds besides *key*."""
        others = [value for name, value in (found.get("data") or {}).items() if name != key]
        labels = found["metadata"].get("labels") or {}
        return cls(
            count=len(others),
            size=sum(len(value) * 3 // 4 - value.count("=") for value in others),
            type=found.get("type", ""),
            is_immutable=bool(found.get("immutable")),
            # With a finalizer it would stay, and hold the secret, until somebody else is done.
            is_managed=MANAGED.items() <= labels.items()
            and not found["metadata"].get("finalizers"),
        )


def encoded(secret: Secret) -> str:
    """Return a secret as it stands in the `data` of a Secret."""
    return base64.b64encode(secret.reveal().encode()).decode()


def text_of(value: str) -> Secret | None:
    """Return what a value of `data` stands for; None if that is no text."""
    try:
        return Secret(base64.b64decode(value).decode())
    except (binascii.Error, UnicodeDecodeError):  # it holds the value, so nothing is raised from it
        return None
