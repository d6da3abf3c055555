"""What a service is, and how a client of it is set up, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import os
from ssl import SSLContext
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.secret import Secret, as_secret
from agentkeys.transport import check
from agentkeys.transport.convert import Reader
from agentkeys.transport.retry import RetryPolicy

__all__ = ["Service", "Settings", "settings"]


@attrs.frozen
class Service:
    """A service whose keys we manage.

    Attributes:
        name: as it calls itself, for sentences.
        base_url: where it is reached.
        base_url_variable: the environment variable that names another address.
        reader: how its records are read.
    """

    name: str
    base_url: str
    base_url_variable: str
    reader: Reader


@attrs.frozen
class Settings:
    """How calls to one service are made.

    Attributes:
        base_url: without a trailing slash.
        timeout: seconds for a whole call; `math.inf` for no limit.
        retry: when to try again.
        ssl: how TLS is checked; None for the system's way.
        proxy: the address of the HTTP proxy, a Secret because it may hold a password.
    """

    service: Service
    base_url: str
    timeout: float
    retry: RetryPolicy
    ssl: SSLContext | None
    proxy: Secret | None


def settings(
    service: Service,
    *,
    base_url: str | None,
    timeout: float,
    retry: RetryPolicy,
    ssl: SSLContext | None,
    proxy: str | Secret | None,
    allow_http: bool,
) -> Settings:
    """Return the settings, or raise `ConfigurationError` or `InvalidArgumentError`."""
    proxy = None if proxy is None else as_secret(proxy)
    address = base_url or os.environ.get(service.base_url_variable) or service.base_url
    if not isinstance(retry, RetryPolicy):
        raise InvalidArgumentError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
    if ssl is not None and not isinstance(ssl, SSLContext):
        raise InvalidArgumentError(f"ssl must be an ssl.SSLContext, not {type(ssl).__name__}")
    if proxy is not None:
        _check_proxy(proxy)
    return Settings(
        service=service,
        base_url=_checked_base_url(as_secret(address), service, allow_http=allow_http),
        timeout=check.timeout(timeout),
        retry=retry,
        ssl=ssl,
        proxy=proxy,
    )


def proxy_from_environment(base_url: str) -> Secret | None:
    """Return the proxy that HTTPS_PROXY or HTTP_PROXY names, unless NO_PROXY excepts the host.

    A service on this machine is never reached through a proxy: another machine's loopback is none
    of ours.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if _is_loopback(host) or proxy_bypass(parts.netloc):
        return None
    proxy = getproxies().get(parts.scheme)
    return Secret(proxy) if proxy else None


def _checked_base_url(address: Secret, service: Service, *, allow_http: bool) -> str:
    """Check a base URL without showing it: it may hold what was pasted by mistake."""
    parts = _split(address)
    fault = _base_url_fault(parts, allow_http=allow_http)
    if fault or parts is None:
        raise ConfigurationError(
            f"the base URL of {service.name} {fault}: set base_url or {service.base_url_variable}"
            f" to something like {service.base_url}"
        )
    return parts.geturl().rstrip("/")


def _base_url_fault(parts: SplitResult | None, *, allow_http: bool) -> str | None:
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return "is not an http or https address"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password, which do not belong there"
    if parts.query or parts.fragment:
        return "holds a query or a fragment, which do not belong there"
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        return (
            "is http to another host, which would send the token in the clear"
            " (allow_http=True permits it, for a network that is your own)"
        )
    return None


def _check_proxy(proxy: Secret) -> None:
    parts = _split(proxy)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError("the proxy is not an http or https address: set proxy to one")


def _split(address: Secret) -> SplitResult | None:
    value = address.reveal()
    try:
        parts = urlsplit(value)
        _ = parts.port  # reading it is what checks it
        value.encode("ascii")
    except ValueError:
        return None
    return parts if value.isprintable() and " " not in value else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
