"""Send the requests of commands to the admin port of ``agentkeys serve``."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from agentkeys.cli.ground.codes import CredentialsError
from agentkeys.errors import ConfigurationError, InvalidArgumentError, TransportError

if TYPE_CHECKING:
    from agentkeys.secret import Secret

__all__ = ["ask_admin", "secret_from"]

_URL: Final = "AGENTKEYS_ADMIN_URL"
_TOKEN: Final = "AGENTKEYS_ADMIN_TOKEN"  # noqa: S105  # the name of the variable
_SECONDS: Final = 30.0
_FORM: Final = re.compile(r"[\x21-\x7e]+")


def secret_from(variable: str) -> Secret | None:
    """Return the secret in the environment, or in the file or store that the environment names."""
    import asyncio

    from agentkeys.secret import Secret
    from agentkeys.sources import from_environment, secret_in

    source = from_environment(variable)
    if source is None or isinstance(source, Secret):
        return source
    return asyncio.run(secret_in(source, "secret"))


def ask_admin(method: str, path: str, body: object = None) -> Any:
    """Return the answer of the admin port; None if it is empty.

    Raises:
        ConfigurationError: the environment does not name the admin port.
        CredentialsError: the token is missing or wrong.
        InvalidArgumentError: the request is not valid.
        TransportError: the admin port cannot be reached.
    """
    host, port = _address()
    token = secret_from(_TOKEN)
    if token is None or not _FORM.fullmatch(token.reveal()):
        raise CredentialsError(f"set {_TOKEN} to the token of the admin port")
    import http.client  # with all of email: a tenth of what `agentkeys --help` takes

    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request(
            method,
            path,
            body=None if body is None else json.dumps(body),
            headers={"Authorization": f"Bearer {token.reveal()}"},
        )
        answer = connection.getresponse()
        said = json.loads(answer.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
    else:
        return _understood(answer.status, said)
    finally:
        connection.close()
    raise TransportError(
        f"cannot reach the admin port at {host}:{port}: {reason}", method=method, path=path
    )


def _address() -> tuple[str, int]:
    """Return the address of the admin port: this machine only, as the token is not encrypted."""
    given = os.environ.get(_URL, "")
    try:
        parts = urlsplit(given)
        host, port = parts.hostname or "", parts.port or 80
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    else:
        if is_here and parts.scheme == "http" and parts.username is None:
            return host, port
    raise ConfigurationError(
        f"set {_URL} to the address that `agentkeys serve --admin-port` prints, on this machine:"
        " http://127.0.0.1:PORT"
    )


def _understood(status: int, said: Any) -> Any:
    if status < 400:
        return said
    fields = said if isinstance(said, dict) else {}
    errors = fields.get("errors") or [fields]
    sentence = str(errors[0].get("message", f"the admin port answered {status}"))
    if status == 400:
        raise InvalidArgumentError(sentence)
    kind = CredentialsError if status == 401 else ConfigurationError
    raise kind(f"the admin port rejects the request: {sentence}")
