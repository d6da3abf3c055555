"""What a service is, and how a client of it is set up, checked before anything is sent."""

from __future__ import annotations

import base64
import ipaddress
import os
from ssl import SSLContext
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.masking import declare_key_form
from agentkeys.secret import Secret
from agentkeys.transport import check
from agentkeys.transport.convert import Reader
from agentkeys.transport.retry import RetryPolicy

__all__ = ["Proxy", "Service", "Settings", "proxy_from_environment", "settings", "variable"]


@attrs.frozen
class Service:
    """A service whose keys we manage.

    Attributes:
        name: as it calls itself, for sentences.
        base_url: where it is reached.
        base_url_variable: the environment variable that names another address.
        reader: how its records are read.
        key_form: what its keys look like, so that one of them is masked wherever it shows: a
            regular expression with one group, the part that all of them share and that is shown.
    """

    name: str
    base_url: str
    base_url_variable: str
    reader: Reader
    key_form: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.key_form is not None:
            declare_key_form(self.key_form)


@attrs.frozen
class Proxy:
    """An HTTP proxy, and how to sign in there.

    Attributes:
        address: without user name and password.
        password: its password, or None.
        basic: user name and password as a header holds them (RFC 7617), or None.
    """

    address: str
    password: Secret | None = None
    basic: Secret | None = None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that must show nowhere."""
        return tuple(secret for secret in (self.password, self.basic) if secret)


@attrs.frozen
class Settings:
    """How calls to one service are made.

    Attributes:
        base_url: without a trailing slash.
        timeout: seconds for a whole call; `math.inf` for no limit.
        retry: when to try again.
        ssl: how TLS is checked; None for the system's way.
        proxy: what every request goes through; None for what the environment says.
    """

    service: Service
    base_url: str
    timeout: float
    retry: RetryPolicy
    ssl: SSLContext | None
    proxy: Proxy | None


def settings(
    service: Service,
    *,
    base_url: Secret | None,
    timeout: float,
    retry: RetryPolicy,
    ssl: SSLContext | None,
    proxy: Secret | None,
    allow_http: bool,
) -> Settings:
    """Return the settings, or raise `ConfigurationError` or `InvalidArgumentError`.

    The addresses are Secrets until they are checked: they may hold a password, or what was pasted
    by mistake.
    """
    if not isinstance(retry, RetryPolicy):
        raise InvalidArgumentError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
    if ssl is not None and not isinstance(ssl, SSLContext):
        raise InvalidArgumentError(f"ssl must be an ssl.SSLContext, not {type(ssl).__name__}")
    through = None if proxy is None else _proxy(proxy)
    if proxy is not None and through is None:
        raise ConfigurationError("the proxy is not an http or https address: set proxy to one")
    return Settings(
        service=service,
        base_url=_checked_base_url(base_url, service, allow_http=allow_http),
        timeout=check.timeout(timeout),
        retry=retry,
        ssl=ssl,
        proxy=through,
    )


def variable(name: str) -> Secret | None:
    """Return what an environment variable holds, or None if it is not set or empty."""
    value = os.environ.get(name)
    return Secret(value) if value else None


def proxy_from_environment(base_url: str) -> Proxy | None:
    """Return the proxy that HTTPS_PROXY or HTTP_PROXY names, unless NO_PROXY excepts the host.

    A service on this machine is never reached through a proxy: another machine's loopback is none
    of ours.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if _is_loopback(host) or proxy_bypass(parts.netloc):
        return None
    given = getproxies().get(parts.scheme)
    if not given:
        return None
    # Without a scheme it is http, as for other programs that read these variables.
    proxy = _proxy(Secret(given if "://" in given else f"http://{given}"))
    del given
    if proxy is None:
        raise ConfigurationError(
            f"{parts.scheme.upper()}_PROXY is not an http or https address: set it to one, or pass"
            " proxy"
        )
    return proxy


def _checked_base_url(given: Secret | None, service: Service, *, allow_http: bool) -> str:
    address = given or variable(service.base_url_variable) or Secret(service.base_url)
    fault = _base_url_fault(address, allow_http=allow_http)
    if fault:
        raise ConfigurationError(
            f"the base URL of {service.name} {fault}: set base_url or {service.base_url_variable}"
            f" to something like {service.base_url}"
        )
    return address.reveal().rstrip("/")


def _base_url_fault(address: Secret, *, allow_http: bool) -> str | None:
    parts = _split(address)
    if parts is None:
        return "is not an http or https address"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password, which do not belong there"
    if "?" in address.reveal() or "#" in address.reveal():  # an empty one swallows the path too
        return "holds a query or a fragment, which do not belong there"
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname or ""):
        return (
            "is http to another host, which would send the token in the clear"
            " (allow_http=True, or --allow-http, permits it, for a network that is your own)"
        )
    return None


def _proxy(given: Secret) -> Proxy | None:
    """Take a proxy's address apart; None if it is none."""
    parts = _split(given)
    if parts is None:
        return None
    user, at, where = parts.netloc.rpartition("@")
    address = parts._replace(netloc=where).geturl()
    if not at:
        return Proxy(address)
    # The very bytes that the address stands for, in whatever encoding the proxy wants them.
    name, _, password = map(unquote_to_bytes, user.partition(":"))
    return Proxy(
        address,
        Secret(password.decode(errors="replace")),
        Secret(base64.b64encode(name + b":" + password).decode()),
    )


def _split(address: Secret) -> SplitResult | None:
    """Take an http or https address apart; None if it is none."""
    value = address.reveal()
    try:
        parts = urlsplit(value)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        return None
    clean = value.isascii() and value.isprintable() and " " not in value
    return parts if clean and parts.scheme in {"http", "https"} and parts.hostname else None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
