"""What the clients of all services have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self, TypedDict

from agentkeys.credentials import BearerToken, Credentials
from agentkeys.errors import ConfigurationError
from agentkeys.secret import Secret
from agentkeys.transport.retry import RetryPolicy
from agentkeys.transport.session import Session
from agentkeys.transport.settings import Service, settings

if TYPE_CHECKING:
    from ssl import SSLContext

    import aiohttp

__all__ = ["Client", "ClientSettings", "seal"]


class ClientSettings(TypedDict, total=False):
    """The keyword arguments of every client, for functions that pass them on."""

    base_url: str | Secret | None
    timeout: float
    retry: RetryPolicy
    ssl: SSLContext | None
    proxy: str | Secret | None
    allow_http: bool
    session: aiohttp.ClientSession | None


def seal(settings: ClientSettings) -> None:
    """Make Secrets of the addresses, which may hold a password, so that no traceback shows one."""
    if isinstance(base_url := settings.get("base_url"), str):
        settings["base_url"] = Secret(base_url)
    if isinstance(proxy := settings.get("proxy"), str):
        settings["proxy"] = Secret(proxy)


class Client:
    """A client of one service. It works in any event loop, and in several at once.

    Use it as ``async with``, or `close` it. Its connections are closed with it, or with the event
    loop that they belong to.

    Args:
        credentials: the bearer token, or an object that gets one; None for what the environment
            holds, which is read now.
        base_url: where the service is; None for what the environment says, then the service's own.
            It is https, or http to this machine.
        timeout: seconds for a whole call, with its login, waits and tries; `math.inf` for no limit.
        retry: when to try again.
        ssl: how TLS is checked; None for the system's way.
        proxy: the address of an HTTP proxy; None for what HTTPS_PROXY and NO_PROXY say.
        allow_http: permit http to another host, e.g. in a network of containers.
        session: an aiohttp session to use. It is never closed, and works in its own loop only.

    Raises:
        ConfigurationError: there are no credentials, or a setting cannot be used.
        InvalidArgumentError: an argument cannot be right.

    """

    _service: ClassVar[Service]

    def __init__(
        self,
        credentials: str | Secret | Credentials | None = None,
        *,
        base_url: str | Secret | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # it is frozen
        ssl: SSLContext | None = None,
        proxy: str | Secret | None = None,
        allow_http: bool = False,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        # First of all, so that no traceback from here shows a token or the password in an address.
        credentials = Secret(credentials) if isinstance(credentials, str) else credentials
        base_url = Secret(base_url) if isinstance(base_url, str) else base_url
        proxy = Secret(proxy) if isinstance(proxy, str) else proxy
        self._settings = settings(
            self._service,
            base_url=base_url,
            timeout=timeout,
            retry=retry,
            ssl=ssl,
            proxy=proxy,
            allow_http=allow_http,
        )
        found = self._from_environment() if credentials is None else credentials
        self._session = Session(self._settings, _as_credentials(found), session)

    @classmethod
    def _from_environment(cls) -> Credentials:
        """Return the credentials that the environment holds, or raise `ConfigurationError`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the connections. Calls are refused from then on; closing twice is fine."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        # A traceback with locals asks for it even if `__init__` failed half-way.
        made = getattr(self, "_settings", None)
        return f"<{type(self).__name__} of {made.base_url if made else 'nothing yet'}>"


def _as_credentials(given: object) -> Credentials:
    if isinstance(given, Secret):
        return BearerToken(given)
    if isinstance(given, Credentials):
        return given
    raise ConfigurationError(
        f"credentials must be a str, a Secret or Credentials, not {type(given).__name__}"
    )
