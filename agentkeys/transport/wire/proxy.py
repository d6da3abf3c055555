"""Choose the proxy of a client, from its arguments and the environment."""

from __future__ import annotations

import base64
import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import unquote_to_bytes
from urllib.request import getproxies, proxy_bypass

import attrs

from agentkeys.errors import ConfigurationError
from agentkeys.secret import Secret
from agentkeys.transport.wire.address import Address

__all__ = ["Proxy", "is_excepted", "proxy_from_environment"]

# "name", "name:port", "[IPv6]:port"; anything else is a bare IPv6 address or network.
_ENTRY: Final = re.compile(r"(\[[^]]*](?:/[0-9]+)?|[^:]*)(?::([0-9]+))?")


@attrs.frozen
class Proxy:
    """An HTTP proxy, and the credentials for it.

    Attributes:
        address: its address, without user name and password.
        password: its password, or None.
        basic: user name and password as a header holds them (RFC 7617), or None.
    """

    address: str
    password: Secret | None = None
    basic: Secret | None = None

    @classmethod
    def of(cls, given: Secret) -> Proxy | None:
        """Parse a proxy's address; return None if it is invalid."""
        address = Address.of(given)
        if address is None:
            return None
        if address.user is None:
            return cls(address.url)
        name, _, password = address.user.reveal().partition(":")
        return cls.signed_in(address.url, unquote_to_bytes(name), unquote_to_bytes(password))

    @classmethod
    def signed_in(cls, address: str, name: bytes, password: bytes) -> Proxy:
        """Return a proxy with this user name and password, as bytes in any encoding."""
        return cls(
            address,
            Secret(password.decode(errors="replace")),
            Secret(base64.b64encode(name + b":" + password).decode()),
        )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All values that must never be shown."""
        return tuple(secret for secret in (self.password, self.basic) if secret)


def proxy_from_environment(base_url: Address) -> Proxy | None:
    """Return the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY, unless NO_PROXY excludes the host.

    A service on this machine is never reached through a proxy, because the proxy's loopback is
    another machine's.
    """
    if base_url.is_loopback:
        return None
    found = getproxies()
    variable = base_url.scheme if found.get(base_url.scheme) else "all"
    given = found.get(variable)
    # `proxy_bypass` reads the exceptions in the settings of macOS and Windows.
    host, port = base_url.host, base_url.port
    if not given or is_excepted(host, port, found.get("no", "")) or proxy_bypass(host):
        return None
    # An address without a scheme is http, as in other programs that read these variables.
    proxy = Proxy.of(Secret(given if "://" in given else f"http://{given}"))
    del found, given
    if proxy is None:
        raise ConfigurationError(
            f"{variable.upper()}_PROXY is not an http or https address: set it to one, or pass"
            " proxy"
        )
    return proxy


def is_excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether NO_PROXY, as *exceptions*, excludes a host from the proxy.

    Entries are separated by commas or white space, as in curl and requests. An entry is a host with
    all its subdomains, an IP address, or a network ("10.0.0.0/8"), each with or without a port, or
    "*".
    """
    return any(_excepts(entry, host, port) for entry in re.split(r"[,\s]+", exceptions.lower()))


def _excepts(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    parts = _ENTRY.fullmatch(entry)
    name, of_port = (parts[1], parts[2]) if parts else (entry, None)
    if of_port is not None and int(of_port) != port:
        return False
    address = _ip(host)
    if address is not None:
        return _holds(name.replace("[", "").replace("]", ""), address)
    name, host = name.lstrip("*").strip("."), host.rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _holds(network: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(network, strict=False)
    except ValueError:
        return False
