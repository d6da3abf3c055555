"""An http or https address, parsed once, so that the checked value is the one in use."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import attrs

from agentkeys.secret import Secret

__all__ = ["Address"]

# Only what all parsers read alike. Where parsers disagree on the host, the token could go to the
# wrong host: brackets in the middle, a backslash, a percent sign, letters beyond ASCII.
_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:(?P<user>[^/?#\\\[\]]*)@)?"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>/[^?#\\]*)?"
    r"(?P<rest>[?#].*)?",
    re.ASCII | re.IGNORECASE,
)
# getaddrinfo reads a name with this ending as a number: "127.1" and "0x7f.1" are 127.0.0.1.
_NUMBER: Final = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class Address:
    """An http or https address in normal form.

    Attributes:
        scheme: "http" or "https".
        host: a name, or an IP address without brackets.
        port: never None; the default of the scheme if the address has no port.
        path: without a trailing slash.
        user: the text before the host's "@", or None.
        has_rest: whether a query or a fragment followed.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: Secret | None = None
    has_rest: bool = False

    @classmethod
    def of(cls, given: Secret) -> Address | None:
        """Parse an address; return None if it is invalid."""
        parts = _ADDRESS.fullmatch(given.reveal())
        host = parts and _host(parts["host"].lower())
        if not parts or not host or not (parts.string.isprintable() and " " not in parts.string):
            return None
        scheme = parts["scheme"].lower()
        port = int(parts["port"] or _DEFAULT_PORTS[scheme])
        if not 0 < port < 1 << 16:
            return None
        return cls(
            scheme,
            host,
            port,
            (parts["path"] or "").rstrip("/"),
            None if parts["user"] is None else Secret(parts["user"]),
            bool(parts["rest"]),
        )

    @property
    def url(self) -> str:
        """The address, without a user."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def _host(given: str) -> str | None:
    """Return a host in normal form; None if it is invalid."""
    try:
        if given.startswith("["):
            return str(IPv6Address(given[1:-1]))
        labels = given.removesuffix(".").split(".")
        if _NUMBER.fullmatch(labels[-1]):
            return str(IPv4Address(given))
    except ValueError:
        return None
    fits = all(0 < len(label) <= _LONGEST_LABEL for label in labels)
    return given if fits and len(given) <= _LONGEST_NAME else None
