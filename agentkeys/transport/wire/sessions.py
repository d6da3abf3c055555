"""Set up aiohttp's sessions: our own, and one that borrows the connections of a lent session.

A lent session is never called. A session of our own uses its connections, so that the settings of
the lent session cannot interfere: cookie jar, netrc, limits, timeouts, decoding.
"""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from multidict import CIMultiDict

from agentkeys import __version__
from agentkeys.errors import ClientClosedError, ConfigurationError
from agentkeys.secret import Secret
from agentkeys.transport.wire.coding import ACCEPTED
from agentkeys.transport.wire.exchange import OutgoingRequest
from agentkeys.transport.wire.lookup import Resolver
from agentkeys.transport.wire.proxy import Proxy, proxy_from_environment

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from ssl import SSLContext

    from agentkeys.errors import Applied
    from agentkeys.transport.wire.address import Address

__all__ = ["MAX_HEAD", "borrowed", "check_lent", "check_usable", "opened", "proxy_of", "user_agent"]

MAX_HEAD: Final = 64 * 1024
"""The largest number of bytes of an answer's head that are read."""

# aiohttp limits each field and their number, but not the sum: it is checked at the end.
_MOST_FIELDS: Final = 1024
_OURS: Final = (
    f"agentkeys/{__version__} aiohttp/{aiohttp.__version__} Python/{platform.python_version()}"
)
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": ACCEPTED,
}
_SETTINGS: Final[Mapping[str, Any]] = {
    "request_class": OutgoingRequest,
    # The whole call has our deadline; aiohttp's own limit of five minutes would interfere.
    "timeout": aiohttp.ClientTimeout(total=None, sock_connect=None),
    "auto_decompress": False,  # see `agentkeys.transport.wire.coding`
    "max_line_size": MAX_HEAD,
    "max_field_size": MAX_HEAD,
    "max_headers": _MOST_FIELDS,
}
# Fields with credentials; and fields of a single message, which our requests set themselves.
_CREDENTIALS: Final = ("Authorization", "Cookie", "Proxy-Authorization")
_OF_A_MESSAGE: Final = frozenset(
    {"connection", "expect", "host", "keep-alive", "range", "te", "trailer", "upgrade"}
    | {"accept", "accept-encoding", "transfer-encoding", "user-agent"}
)
_KINDS_OF_A_MESSAGE: Final = ("content-", "if-")


def user_agent(product: str) -> str:
    """Return the User-Agent (RFC 9110, 10.1.5): the program's product, if given, then ours."""
    return f"{product} {_OURS}".lstrip()


async def opened(
    ssl: SSLContext | None, proxy: Proxy | None, user_agent: str
) -> AsyncGenerator[aiohttp.ClientSession, None]:
    """Open a session of our own."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=ssl or True, resolver=Resolver()),
        headers={**_HEADERS, "User-Agent": user_agent},
        # A cookie would be another secret to protect.
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy.address if proxy else None,
        **_SETTINGS,
    ) as http:
        yield http


def borrowed(
    lent: aiohttp.ClientSession, proxy: Proxy | None, user_agent: str
) -> aiohttp.ClientSession:
    """Return a session that uses the connections of *lent*, and never closes them.

    The settings of *lent* for each request stay in force: headers, middlewares, tracing.
    """
    kept = [(name, value) for name, value in lent.headers.items() if not _is_of_a_message(name)]
    headers = CIMultiDict(kept)
    headers.update(_HEADERS, **{"User-Agent": user_agent})
    return aiohttp.ClientSession(
        connector=lent.connector,
        connector_owner=False,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=proxy.address if proxy else None,
        trace_configs=lent.trace_configs,
        **_SETTINGS,
    )


def check_lent(lent: object) -> None:
    """Raise `ConfigurationError` if *lent* cannot be used."""
    if not isinstance(lent, aiohttp.ClientSession):
        kind = type(lent).__name__
        raise ConfigurationError(f"session must be an aiohttp.ClientSession, not {kind}")
    own = next((name for name in _CREDENTIALS if name in lent.headers), None)
    if own or lent.auth is not None:
        raise ConfigurationError(
            "the aiohttp session that the client was given has credentials of its own"
            f" ({own or 'auth'}), which would be sent with the client's: give the client a session"
            " without credentials"
        )


def check_usable(lent: aiohttp.ClientSession, applied: Applied) -> None:
    """Raise an error if *lent* is closed, or belongs to another loop."""
    if lent.closed:
        raise ClientClosedError(
            "the aiohttp session that the client was given is closed: give it an open one",
            applied=applied,
        )
    if lent._loop is not asyncio.get_running_loop():  # noqa: SLF001  # no public name says it without a warning
        error = ConfigurationError(
            "the aiohttp session that the client was given belongs to another event loop:"
            " make one for each loop, or make the client without a session"
        )
        error.applied = applied
        raise error


def proxy_of(lent: aiohttp.ClientSession, address: Address) -> Proxy | None:
    """Return the proxy that *lent* would use for *address*."""
    if lent._default_proxy is None:  # noqa: SLF001  # it has no public name
        return proxy_from_environment(address) if lent.trust_env else None
    proxy = Proxy.of(Secret(str(lent._default_proxy)))  # noqa: SLF001  # likewise
    auth = lent._default_proxy_auth  # noqa: SLF001  # likewise
    if proxy is None:
        raise ConfigurationError(
            "the proxy of the aiohttp session that the client was given is not an http or https"
            " address: give it one, or pass proxy"
        )
    if auth is None:
        return proxy
    login, password = (each.encode(auth.encoding) for each in (auth.login, auth.password))
    return Proxy.signed_in(proxy.address, login, password)


def _is_of_a_message(name: str) -> bool:
    return name.lower() in _OF_A_MESSAGE or name.lower().startswith(_KINDS_OF_A_MESSAGE)
