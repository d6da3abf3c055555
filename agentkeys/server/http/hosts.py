"""Which hosts the service answers for: a page of another one must not reach it by a browser.

A name that anybody owns may lead to this machine (DNS rebinding). Its page is then of one origin
with the service, and a browser sends that name as `Host`. A page that does not rebind sends its own
name as `Origin`.
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
    """The hosts that the service answers for: 127.0.0.0/8, ::1, localhost, and what is allowed.

    Args:
        allowed: names and addresses, without a scheme or a port.

    Raises:
        InvalidArgumentError: one of them is neither a name nor an address.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = {_named(host) for host in _listed(allowed)}
        # Nearly all requests name the same one.
        self._is_answered = functools.lru_cache(_REMEMBERED)(self._answers_for)

    def listen_on(self, host: str) -> None:
        """Allow *host*, which the service was told to listen on, unless that is any address."""
        given = _parsed(host)
        if given is not None and (isinstance(given, str) or not given.is_unspecified):
            self._allowed.add(given)

    def refusal(self, request: web.Request) -> Refusal | None:
        """Return why *request* is refused; None if it is for this service, from no foreign page."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1:
            # HTTP/1.0 did without, and no browser does.
            if not hosts and request.version < HttpVersion11:
                return None
            return invalid("The request must have one Host header.", code="host")
        # The host of an absolute address counts more than the header (RFC 9112, 3.2.2).
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
        raise InvalidArgumentError('allowed_hosts is a list of hosts, such as ["keys.test"]')
    return allowed


def _named(host: object) -> Host:
    given = _parsed(host) if isinstance(host, str) else None
    if given is None:
        raise InvalidArgumentError(
            "an allowed host is a name or an address, without a scheme or a port: keys.test"
        )
    return given
