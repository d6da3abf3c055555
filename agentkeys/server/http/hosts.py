"""The hosts that the service accepts: a page of another host must not reach it by a browser.

A name of an attacker can point to this machine (DNS rebinding). Its page then has the same origin
as the service, and the browser sends that name as `Host`. Without rebinding, the browser sends the
page's own name as `Origin`.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from aiohttp import HttpVersion11

from agentkeys.errors import InvalidArgumentError
from agentkeys.server.http.refusals import Refusal, invalid

if TYPE_CHECKING:
    from aiohttp import web

Host: TypeAlias = str | ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_WITH_PORT: Final = re.compile(r"(\[[^\[\]]+\]|[^\[\]:]+):[0-9]{0,5}")
_ORIGIN: Final = re.compile(r"https?://([^/?#@]+)", re.IGNORECASE)
_REMEMBERED: Final = 64
_REMEDY: Final = "to allow it, start the service with allowed_hosts or --allowed-host"


class Hosts:
    """The hosts that the service accepts: 127.0.0.0/8, ::1, localhost, and the allowed ones.

    Args:
        allowed: names and addresses, without a scheme or a port.

    Raises:
        InvalidArgumentError: one of them is neither a name nor an address.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {_named(host) for host in _listed(allowed)}
        # Nearly all requests name the same host.
        self._is_answered = functools.lru_cache(_REMEMBERED)(self._answers_for)

    def listen_on(self, host: str) -> None:
        """Allow *host*, the address to listen on, unless it is a wildcard."""
        given = _parsed(host)
        if given is not None and (isinstance(given, str) or not given.is_unspecified):
            self._allowed.add(given)

    def refusal(self, request: web.Request) -> Refusal | None:
        """Return why *request* is refused; None if its Host and Origin are allowed."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            # HTTP/1.0 has no Host header, and browsers do not use it.
            if not hosts and request.version < HttpVersion11:
                return None
            return invalid("The request must have one Host header.", code="host")
        # The host of an absolute address has precedence over the header (RFC 9112, 3.2.2).
        if not (self._is_answered(hosts[0]) and self._is_answered(request.host)):
            return Refusal(403, f"Host names a host that is not allowed: {_REMEDY}.")
        for origin in request.headers.getall("Origin", []):
            page = _ORIGIN.fullmatch(origin)
            if page is None or not self._is_answered(page[1]):
                return Refusal(403, f"Origin names a host that is not allowed: {_REMEDY}.")
        return None

    def _answers_for(self, authority: str) -> bool:
        with_port = _WITH_PORT.fullmatch(authority)
        host = _parsed(with_port[1] if with_port else authority)
        if host is None or isinstance(host, str):
            return host == "localhost" or host in self._allowed
        return host.is_loopback or host in self._allowed


def _parsed(host: str) -> Host | None:
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        return ipaddress.ip_address(host[1:-1] if is_bracketed else host)
    except ValueError:
        name = host.lower()
        return name if _NAME.fullmatch(name) else None


def _listed(allowed: object) -> Iterable[object]:
    if isinstance(allowed, str) or not isinstance(allowed, Iterable):
        raise InvalidArgumentError('allowed_hosts must be a list of hosts, such as ["keys.test"]')
    return allowed


def _named(host: object) -> Host:
    given = _parsed(host) if isinstance(host, str) else None
    if given is None:
        raise InvalidArgumentError(
            "an allowed host must be a name or an address without scheme and port: keys.test"
        )
    return given
