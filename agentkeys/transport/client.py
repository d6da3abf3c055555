"""The base class of all clients."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict

from aiohttp import ClientSession

from agentkeys.arguments import as_secret
from agentkeys.credentials import BearerToken, Credentials, StoredToken
from agentkeys.errors import ConfigurationError, InvalidArgumentError, ProfileError
from agentkeys.forks import Unpicklable
from agentkeys.observers import Observer
from agentkeys.rates import RateLimiter
from agentkeys.retry import RetryPolicy
from agentkeys.secret import Secret
from agentkeys.transport.session import Session
from agentkeys.transport.settings import Service, settings

if TYPE_CHECKING:
    from agentkeys.profiles.config import Profile

__all__ = ["Client", "ClientSettings", "seal", "sealed", "with_arguments"]


class ClientSettings(TypedDict, total=False):
    """The keyword arguments of every client, for functions that pass them on."""

    base_url: str | Secret | None
    timeout: float
    retry: RetryPolicy
    ssl: SSLContext | None
    proxy: str | Secret | None
    allow_http: bool
    session: ClientSession | None
    observers: Sequence[Observer]
    user_agent: str | None
    rate: float | RateLimiter | None


def seal(settings: ClientSettings) -> None:
    """Replace the addresses by Secrets: they may hold a password, and no traceback may show it."""
    if settings.get("base_url") is not None:
        settings["base_url"] = as_secret(settings["base_url"], "base_url")
    if settings.get("proxy") is not None:
        settings["proxy"] = as_secret(settings["proxy"], "proxy")


def sealed(credentials: object) -> Secret | Credentials | None:
    """Return *credentials* so that no traceback shows them; call this on the first line."""
    if credentials is None or isinstance(credentials, Credentials):
        return credentials
    return as_secret(credentials, "credentials", "a str, a Secret or Credentials")


class Client(Unpicklable):
    """A client of one service. It works in any event loop, and in several at once.

    Use it with ``async with``, or call `close`. Its connections close with it, or with the event
    loop that they belong to.

    Args:
        credentials: the bearer token, or an object that fetches one; defaults to the environment's
            credentials, which are read now.
        profile: the name of a profile, instead of *credentials*; defaults to AGENTKEYS_PROFILE. It
            sets the credentials, and the base URL if *base_url* is None.
        base_url: the address of the service; defaults to the environment's, then to the service's
            own. It must be https, or http to this machine.
        timeout: seconds for a whole call, with its login, waits and tries; `math.inf` means no
            limit.
        retry: when a call retries its request.
        ssl: how TLS certificates are checked; defaults to the system's settings.
        proxy: the address of an HTTP proxy; defaults to HTTPS_PROXY and NO_PROXY.
        allow_http: allow http to another host, e.g. in a network of containers.
        session: an aiohttp session to use. It is never closed, and works in its own loop only.
        observers: objects that are called for each call and each try; see
            `agentkeys.observers.Observer`.
        user_agent: the name of your program, like ``billing/1.4``, for the start of the User-Agent.
        rate: how many requests a second the client sends at most, or a limiter that several clients
            share, like `agentkeys.RateLimit`; None means no limit.

    Raises:
        ConfigurationError: there are no credentials, or a setting is invalid.
        InvalidArgumentError: an argument is invalid.
    """

    _service: ClassVar[Service]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        cls.__doc__ = with_arguments(cls.__doc__)

    def __init__(
        self,
        credentials: str | Secret | Credentials | None = None,
        *,
        profile: str | None = None,
        base_url: str | Secret | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008  # it is frozen
        ssl: SSLContext | None = None,
        proxy: str | Secret | None = None,
        allow_http: bool = False,
        session: ClientSession | None = None,
        observers: Sequence[Observer] = (),
        user_agent: str | None = None,
        rate: float | RateLimiter | None = None,
    ) -> None:
        # First, so that no traceback from here shows a token, or the password in an address.
        credentials = sealed(credentials)
        base_url = None if base_url is None else as_secret(base_url, "base_url")
        proxy = None if proxy is None else as_secret(proxy, "proxy")
        chosen = self._chosen(credentials, profile)
        self._profile = profile
        if chosen is not None and base_url is None:
            base_url = Secret(chosen.base_url or self._service.base_url)
        self._settings = settings(
            self._service,
            base_url=base_url,
            timeout=timeout,
            retry=retry,
            ssl=ssl,
            proxy=proxy,
            allow_http=allow_http,
            observers=observers,
            user_agent=user_agent,
            rate=rate,
        )
        found = credentials
        if found is None:
            found = self._from_profile(chosen) if chosen else self._from_environment()
        found = BearerToken(found) if isinstance(found, Secret) else found
        self._session = Session(self._settings, found, session)

    @classmethod
    def _chosen(cls, credentials: object, profile: str | None) -> Profile | None:
        """Return the profile that is asked for."""
        if profile is None and (credentials is not None or not os.environ.get("AGENTKEYS_PROFILE")):
            return None  # as most often, and then nothing more is imported
        if credentials is not None:
            raise InvalidArgumentError("give credentials or profile, and not both")
        from agentkeys.profiles.choosing import chosen

        service = cls._service
        return chosen(service.name, profile, (*service.variables, service.base_url_variable))

    @classmethod
    def _from_profile(cls, profile: Profile) -> Credentials:
        """Return the credentials that a profile names, or raise `ProfileError`."""
        from agentkeys.profiles.choosing import opened

        if profile.token_from is None:
            raise ProfileError(
                f"the profile {profile.name!r} has an email, with which nobody logs in at"
                f" {cls._service.name}: it needs token_from"
            )
        return StoredToken(opened(profile, "token_from", profile.token_from))

    @classmethod
    def _from_environment(cls) -> Credentials:
        """Return the credentials that the environment holds, or raise `ConfigurationError`."""
        raise ConfigurationError(f"no credentials for {cls._service.name}: pass them to the client")

    async def close(self) -> None:
        """Close the connections; later calls raise `ClientClosedError`. Closing twice is fine."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        # A traceback with locals calls this even if `__init__` failed half-way.
        made = getattr(self, "_settings", None)
        return f"<{type(self).__name__} of {made.base_url if made else 'nothing yet'}>"


def with_arguments(docstring: str | None, *, without: str = "") -> str | None:
    """Return the docstring of a client, with the arguments that all clients take.

    Editors and notebooks show the docstring of the class itself only.

    Args:
        docstring: the docstring of the class; None under ``python -OO``.
        without: the name of an argument that the class does not take.
    """
    if docstring is None or Client.__doc__ is None:
        return docstring
    # From CPython 3.13 on, the compiler removes the indentation.
    arguments = inspect.cleandoc(Client.__doc__).partition("Args:\n    ")[2]
    items = arguments.split("\n    ")
    kept = [each for each in items if not without or not each.startswith(f"{without}:")]
    return f"{inspect.cleandoc(docstring)}\n\nArgs:\n    {(chr(10) + '    ').join(kept)}"
