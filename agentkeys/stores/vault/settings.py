"""The address of a Vault or OpenBao and the token, found as by their own command lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import attrs

from agentkeys import filesystem
from agentkeys.secret import Secret

__all__ = ["Refused", "Settings"]

_PREFIXES: Final = ("VAULT_", "BAO_")
_LOGIN: Final = "~/.vault-token"
_LARGEST_TOKEN: Final = 64 << 10
_TRUE: Final = {"1", "t", "true"}


class Refused(Exception):  # noqa: N818  # an outcome, which no caller of the store sees
    """The request cannot be made, and was not made. The text says why, without a secret."""


@attrs.frozen
class Settings:
    """The settings in the environment, at this moment.

    Attributes:
        url: the address of the server.
        token: the token for the requests.
        namespace: the namespace of Vault Enterprise and OpenBao; "" for the root.
        verify: the file or the folder with the certificates to trust, or whether to check them.
        certificate: the files of our own certificate and its key.
    """

    url: str
    token: Secret
    namespace: str
    verify: str | bool
    certificate: tuple[str, str] | str | None

    @classmethod
    def found(cls, environment: Mapping[str, str], *, allow_http: bool) -> Settings:
        """Read the environment, and the token of ``vault login``.

        Raises:
            Refused: a setting is missing or invalid.
        """
        url = _url(environment, allow_http=allow_http)
        # The token belongs to the server: if only BAO_ADDR is set, OpenBao's variables come first.
        prefixes = _PREFIXES if environment.get("VAULT_ADDR") else _PREFIXES[::-1]

        def setting(name: str) -> str:
            return next(filter(None, (environment.get(prefix + name) for prefix in prefixes)), "")

        skip = setting("SKIP_VERIFY").lower() in _TRUE
        certificate, key = setting("CLIENT_CERT"), setting("CLIENT_KEY")
        return cls(
            url=url,
            token=_checked(Secret(setting("TOKEN")) or _token_of_the_login()),
            namespace=setting("NAMESPACE"),
            verify=not skip and (setting("CACERT") or setting("CAPATH") or True),
            certificate=(certificate, key) if key else certificate or None,
        )

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return _is_loopback(urlsplit(self.url).hostname)


def _url(environment: Mapping[str, str], *, allow_http: bool) -> str:
    given = {environment.get(f"{prefix}ADDR", "").strip().rstrip("/") for prefix in _PREFIXES}
    urls = given - {""}
    if not urls:
        raise Refused("no server is configured: set VAULT_ADDR or BAO_ADDR")
    if len(urls) > 1:
        raise Refused("VAULT_ADDR and BAO_ADDR name two servers: unset one of them")
    url = urls.pop()
    fault = _fault(url, allow_http=allow_http)
    if fault:
        raise Refused(fault)
    return url


def _fault(url: str, *, allow_http: bool) -> str | None:
    """Return what is wrong with an address. It may contain a password, so it is not shown."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    else:
        if parts.scheme in {"http", "https"} and host and "@" not in url and not parts.query:
            if parts.scheme == "https" or allow_http or _is_loopback(host):
                return None
            return (
                "VAULT_ADDR or BAO_ADDR is http, so others could read the token and the secret on"
                " the way: use https (?allow_http at the end of the store's address allows http,"
                " for a network of your own)"
            )
    return "VAULT_ADDR or BAO_ADDR is not the address of a server: set it to https://HOST:PORT"


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _token_of_the_login() -> Secret:
    path = os.path.expanduser(_LOGIN)  # noqa: PTH111  # a Path would raise RuntimeError
    try:
        return Secret(filesystem.read(path, at_most=_LARGEST_TOKEN).decode().strip())
    except (OSError, UnicodeDecodeError):
        return Secret("")


def _checked(token: Secret) -> Secret:
    if not token:
        raise Refused("there is no token: set VAULT_TOKEN, or log in with `vault login`")
    if not token.reveal().isascii() or not token.reveal().isprintable() or " " in token.reveal():
        raise Refused(
            "the token has a character that no token has: set VAULT_TOKEN to the token alone"
        )
    return token
