"""What a service is, and the settings of its client, checked before a request is sent."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from ssl import SSLContext
from typing import Final

import attrs

from agentkeys import arguments, plain
from agentkeys.errors import ConfigurationError, InvalidArgumentError
from agentkeys.masking import declare_key_form
from agentkeys.observers import Observer
from agentkeys.rates import RateLimiter, limiter
from agentkeys.retry import RetryPolicy
from agentkeys.secret import Secret
from agentkeys.transport.reading.convert import Reader
from agentkeys.transport.wire.address import Address
from agentkeys.transport.wire.proxy import Proxy

__all__ = ["Service", "Settings", "settings", "variable"]


_ALLOW_HTTP: Final = "AGENTKEYS_ALLOW_HTTP"
_PRODUCT: Final = re.compile("[!-~]([ -~]{0,198}[!-~])?")


@attrs.frozen
class Service:
    """A service whose keys are managed.

    Attributes:
        name: the service's name, for error texts.
        base_url: the default address of the service.
        base_url_variable: the environment variable that sets another address.
        reader: reads the service's records.
        key_form: the form of the service's keys, so that keys are masked in every text: a regular
            expression with one group, the public part that all keys share.
        variables: the environment variables of the credentials, without ``_FROM`` and ``_FILE``.
    """

    name: str
    base_url: str
    base_url_variable: str
    reader: Reader
    key_form: str | None = None
    variables: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.key_form is not None:
            declare_key_form(self.key_form)


@attrs.frozen
class Settings:
    """How calls to one service are made.

    Attributes:
        address: the address of the service.
        timeout: seconds for a whole call; `math.inf` means no limit.
        retry: when a call retries its request.
        ssl: how TLS certificates are checked; None for the system's settings.
        proxy: the proxy of every request; None for the environment's.
        observers: the objects that are called for each call and each try.
        product: the program's name for the start of the User-Agent; "" for none.
        rate: the limiter that gives each request its turn; None for no limit.
    """

    service: Service
    address: Address
    timeout: float
    retry: RetryPolicy
    ssl: SSLContext | None
    proxy: Proxy | None
    observers: tuple[Observer, ...] = ()
    product: str = ""
    rate: RateLimiter | None = None

    @property
    def base_url(self) -> str:
        """The address of the service, without a trailing slash."""
        return self.address.url


def settings(
    service: Service,
    *,
    base_url: Secret | None,
    timeout: float,
    retry: RetryPolicy,
    ssl: SSLContext | None,
    proxy: Secret | None,
    allow_http: bool,
    observers: Sequence[Observer] = (),
    user_agent: str | None = None,
    rate: float | RateLimiter | None = None,
) -> Settings:
    """Return the settings, or raise `ConfigurationError` or `InvalidArgumentError`.

    The addresses are Secrets until they are checked: they may hold a password, or a value that was
    pasted by mistake.
    """
    if not isinstance(retry, RetryPolicy):
        raise InvalidArgumentError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
    if ssl is not None and not isinstance(ssl, SSLContext):
        raise InvalidArgumentError(f"ssl must be an ssl.SSLContext, not {type(ssl).__name__}")
    through = None if proxy is None else Proxy.of(proxy)
    if proxy is not None and through is None:
        raise ConfigurationError("the proxy is not an http or https address: set proxy to one")
    return Settings(
        service=service,
        address=_checked_base_url(base_url, service, allow_http=allow_http),
        timeout=arguments.timeout(timeout),
        retry=retry,
        ssl=ssl,
        proxy=through,
        observers=_checked_observers(observers),
        product=_checked_product(user_agent),
        rate=limiter(rate),
    )


def _checked_observers(observers: object) -> tuple[Observer, ...]:
    if isinstance(observers, Iterable) and not isinstance(observers, str):
        given = tuple(observers)
        if all(isinstance(each, Observer) and not isinstance(each, type) for each in given):
            return given
    raise InvalidArgumentError(
        "observers must be objects with the methods of agentkeys.observers.Observer, in a list"
    )


def _checked_product(own: object) -> str:
    if own is None:
        return ""
    if isinstance(own, str) and _PRODUCT.fullmatch(plain.text(own)):
        return plain.text(own)
    raise InvalidArgumentError(
        "user_agent must be printable ASCII, at most 200 characters, like 'billing/1.4'"
    )


def variable(name: str) -> Secret | None:
    """Return the value of an environment variable, or None if it is not set or empty."""
    value = os.environ.get(name)
    return Secret(value) if value else None


def _checked_base_url(given: Secret | None, service: Service, *, allow_http: bool) -> Address:
    written = given or variable(service.base_url_variable) or Secret(service.base_url)
    address = Address.of(written)
    if address is None:
        fault: str | None = "is not an http or https address with a valid host name"
    else:
        fault = _base_url_fault(address, allow_http=allow_http)
    if address is None or fault:
        raise ConfigurationError(
            f"the base URL of {service.name} {fault}: set base_url or {service.base_url_variable}"
            f" to something like {service.base_url}"
        )
    return address


def _base_url_fault(address: Address, *, allow_http: bool) -> str | None:
    if address.user is not None:
        return "holds a user name or password, which are not allowed there"
    if address.has_rest:  # an empty one removes the path too
        return "holds a query or a fragment, which are not allowed there"
    if address.scheme == "http" and not address.is_loopback and not (allow_http or _may_be_http()):
        return (
            "is http to another host, which would send the token in the clear (allow_http=True,"
            f" --allow-http, or {_ALLOW_HTTP}=1 permits it, for a network that is your own)"
        )
    return None


def _may_be_http() -> bool:
    value = os.environ.get(_ALLOW_HTTP, "")
    if value not in {"", "0", "1"}:
        raise ConfigurationError(f"{_ALLOW_HTTP} must be 1, or 0 or nothing")
    return value == "1"
