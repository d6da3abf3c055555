"""Why no complete answer came, in our own words: aiohttp's errors hold the token."""

from __future__ import annotations

import os
import re
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from agentkeys.transport.reading.answer import CUT_SHORT, Loss
from agentkeys.transport.wire.exchange import LostConnectionError, SentTwiceError, UnfitError

if TYPE_CHECKING:
    from agentkeys.errors import Applied
    from agentkeys.transport.wire.address import Address
    from agentkeys.transport.wire.proxy import Proxy

__all__ = ["lost"]

_ALERT: Final = re.compile(r"ALERT_(\w+)")
# Alerts of a server that requires a client certificate, or another one (RFC 8446, 6.2).
_CLIENT_CERTIFICATE: Final = frozenset(
    {
        "access denied",
        "bad certificate",
        "certificate expired",
        "certificate required",
        "certificate revoked",
        "certificate unknown",
        "unknown ca",
        "unsupported certificate",
    }
)


def lost(error: Exception, address: Address, proxy: Proxy | None, *, written: bool) -> Loss:
    """Return what went wrong, and whether the service may have acted on the request.

    Args:
        error: the exception that aiohttp raised.
        address: the address of the service.
        proxy: the proxy of the request.
        written: whether a part of the request may have been written.
    """
    # These are errors of making a connection, wherever they are raised.
    unmade = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    if written and not unmade:
        return _after_writing(error, address)
    return _before_writing(error, address, proxy)


def _before_writing(error: Exception, address: Address, proxy: Proxy | None) -> Loss:  # noqa: PLR0911  # one for each cause
    match error:
        case aiohttp.ClientConnectorError():
            return _unmade(error, address, proxy)
        case aiohttp.ConnectionTimeoutError():
            return _unsent(f"could not connect to {address.url} in time")
        case aiohttp.ClientHttpProxyError():
            return _unsent(
                f"the proxy answered {error.status}: check the proxy and its password",
                lasting=error.status == 407,
            )
        case UnfitError():
            return _unsent(f"{address.host} closed the connection before the request was sent")
        case aiohttp.ClientResponseError():  # to CONNECT
            return _unsent("the proxy's answer is not HTTP: check the proxy")
        case aiohttp.ClientError() | OSError():
            where = "the proxy" if proxy else address.url
            return _unsent(f"could not connect through {where} ({_reason(error)}): check the proxy")
    return _unsent(f"the request could not be sent ({type(error).__name__})", lasting=True)


def _unmade(error: aiohttp.ClientConnectorError, address: Address, proxy: Proxy | None) -> Loss:
    match error:
        case aiohttp.ClientProxyConnectionError():
            return _unsent(
                f"could not connect to the proxy ({_reason(error.os_error)}): check its address"
            )
        case aiohttp.ClientConnectorDNSError():
            what = "the proxy" if proxy else "the base URL"
            return _unsent(f"the host name {error.host} could not be looked up: check {what}")
        case aiohttp.ClientConnectorCertificateError():
            return _unsent(
                f"the TLS certificate of {error.host} is not trusted: check the address; for your"
                " own authority, set SSL_CERT_FILE, or pass a context as ssl",
                lasting=True,
            )
        case aiohttp.ClientSSLError():
            return _tls(_tls_error(error), error.host, "no")
    reason = _reason(error.os_error)
    return _unsent(f"could not connect to {address.url} ({reason}): check that it is running")


def _after_writing(error: Exception, address: Address) -> Loss:
    tls = _tls_error(error)
    if tls is not None:
        return _tls(tls, address.host, "maybe")
    if isinstance(error, aiohttp.ClientPayloadError):
        return CUT_SHORT
    return Loss(
        _words_after_writing(error, address),
        "maybe",
        lasting=not isinstance(error, aiohttp.ClientError | OSError),
    )


def _words_after_writing(error: Exception, address: Address) -> str:
    match error:
        case aiohttp.ClientResponseError() if _is_too_long(error):
            return "the head of the answer is longer than the limit of 64 KiB"
        case aiohttp.ClientResponseError():
            return f"the answer is not HTTP: check the base URL, {address.url}"
        case SentTwiceError():
            return (
                "a middleware of the aiohttp session that the client was given tried to send it"
                " twice: give the client a session without that middleware"
            )
        case aiohttp.ClientError() | OSError():
            return f"the connection broke before the answer arrived ({_reason(error)})"
    return f"the answer could not be read ({type(error).__name__})"


def _unsent(words: str, *, lasting: bool = False) -> Loss:
    return Loss(words, "no", lasting=lasting)


def _tls(error: ssl.SSLError | None, host: str, applied: Applied) -> Loss:
    """Return the loss of a TLS failure; an alert of the other side lasts, any other may pass."""
    reason = (error and error.reason) or "no reason given"
    alert = _ALERT.search(reason)
    said = (alert[1] if alert else reason).replace("_", " ").lower()
    if not alert:
        return Loss(f"TLS with {host} failed ({said}): check the base URL, or ssl", applied)
    advice = (
        "pass as ssl a context with a client certificate that it accepts (load_cert_chain)"
        if said in _CLIENT_CERTIFICATE
        else "check the base URL, or ssl"
    )
    return Loss(
        f"{host} closed the TLS connection with the alert {said!r}: {advice}", applied, lasting=True
    )


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    # aiohttp's own are SSLErrors too, but without a reason.
    for each in (getattr(error, "tls", None), getattr(error, "os_error", None), error):
        if isinstance(each, ssl.SSLError):
            return each
    return None


def _is_too_long(error: BaseException) -> bool:
    """Whether aiohttp's parser reports that something is too long; it wraps its own error once."""
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, LineTooLong) or "Too many headers" in str(cause):
            return True
        cause = cause.__cause__
    return False


def _reason(error: BaseException) -> str:
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return "it was closed" if isinstance(error, LostConnectionError) else type(error).__name__
