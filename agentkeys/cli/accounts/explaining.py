"""Explain which source of credentials a command uses for a service, and why.

No request is sent, no store is read, and the result holds no secret.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agentkeys.cli.ground.services import Service, profile_of, settings_of
from agentkeys.cli.keys.places import usual_place
from agentkeys.errors import AgentKeysError
from agentkeys.masking import mask
from agentkeys.secret import Secret
from agentkeys.sources import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentkeys.cli.ground.options import Options
    from agentkeys.profiles.config import Profile

__all__ = ["Explained", "Source", "explained", "shown_address"]

_ASKED: Final = "a command asks for it"
_WHY: Final = {
    "--local": "it precedes every other source",
    "--profile": "it is explicit, so no variable of the service is read",
    "AGENTKEYS_PROFILE": "it is set, and no variable of the service is",
    "default": "no profile is asked for, and no variable of the service is set",
}


@dataclass(frozen=True)
class Source:
    """A source of credentials.

    Attributes:
        name: its name on the command line, in the environment or in the file.
        says: its value, without a secret; None if it is not given.
        applies: whether it is used if no source before it applies.
        variables: its variables, with the suffixes that are set.
    """

    name: str
    says: str | None
    applies: bool
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explained:
    """The source of the credentials for a service.

    Attributes:
        service: the service.
        source: the source in use; None if none applies.
        why: why it is used.
        profile: the profile in use.
        email: the email of the login.
        secret: the place of the password or the token.
        base_url: the address of the service; None if it is not known.
        base_url_from: the source of the address.
        place: the default place of the keys.
        sources: all sources; the first one that applies is used.
        error: why a command cannot use them.
        is_silent: whether no source and no profile concerns this service.
    """

    service: str
    source: str | None
    why: str
    profile: str | None
    email: str | None
    secret: str | None
    base_url: str | None
    base_url_from: str
    place: str | None
    sources: tuple[Source, ...]
    error: AgentKeysError | None
    is_silent: bool


def explained(options: Options, service: Service[Any]) -> Explained:
    """Return the source of the credentials for a service."""
    sources = tuple(_sources(options, service))
    profile, base_url, error = None, None, None
    winner = next((each for each in sources if each.applies), None)
    try:
        profile = profile_of(options, service)
    except AgentKeysError as failure:
        winner, error = None, failure.with_traceback(None)
    else:
        base_url, error = _base_url(options, service, profile)
    place = usual_place(profile)
    return Explained(
        service=service.name,
        source=None if winner is None else winner.name,
        why="" if winner is None else _WHY.get(winner.name, "no profile is asked for"),
        profile=None if profile is None else profile.name,
        email=_email(profile, winner),
        secret=_secret(profile, winner),
        base_url=base_url,
        base_url_from=_base_url_from(options, service, profile),
        place=None if place is None else str(place),
        sources=sources,
        error=error,
        is_silent=not any(each.applies for each in sources) or _is_left_out(options, service),
    )


def _base_url(
    options: Options, service: Service[Any], profile: Profile | None
) -> tuple[str | None, AgentKeysError | None]:
    """Make the client of a command; return its base URL, or why there is no client."""
    if options.local:
        return None, None
    from agentkeys import BearerToken

    try:
        asks = service.asks_for_password_of(profile)
        credentials = BearerToken("asked-for") if asks else service.credentials(profile)
        client = service.client(credentials, **settings_of(options, service))
    except AgentKeysError as error:
        return None, error.with_traceback(None)
    return str(client._settings.base_url), None  # noqa: SLF001  # one house


def _sources(options: Options, service: Service[Any]) -> Iterator[Source]:
    """Yield all sources, in the order of precedence."""
    named = os.environ.get("AGENTKEYS_PROFILE") or None
    yield Source("--local", "given" if options.local else None, options.local)
    yield Source("--profile", options.profile, options.profile is not None)
    yield Source("AGENTKEYS_PROFILE", named, named is not None)
    for group in sorted(service.variables, key=len):  # a token has precedence over a login
        given = [each for name in group for each in _set(name)]
        whole = all(map(_set, group))
        yield Source(" and ".join(group), " and ".join(given) or None, whole, tuple(given))
    email = service.asks_for_password_of(None)
    if service.logs_in:
        yield Source("the email alone", email, email is not None)
    default = _default(service)
    is_alone = not any(map(_set, service.all_variables()))
    yield Source("default", default, default is not None and is_alone)


def _set(name: str) -> list[str]:
    """Return the variables with that name, and any suffix, that are set."""
    return [f"{name}{each}" for each in SUFFIXES if os.environ.get(f"{name}{each}")]


def _is_left_out(options: Options, service: Service[Any]) -> bool:
    """Whether the requested profile has other services only."""
    from agentkeys.profiles import config

    name = options.profile or os.environ.get("AGENTKEYS_PROFILE")
    try:
        return bool(name) and service.name.lower() not in config.read().named(str(name))
    except AgentKeysError:
        return False


def _default(service: Service[Any]) -> str | None:
    from agentkeys.profiles import config

    try:
        found = config.read()
        has = found.default is not None and service.name.lower() in found.named(found.default)
    except AgentKeysError:
        return None  # a command that needs it reports why
    return found.default if has else None


def _email(profile: Profile | None, winner: Source | None) -> str | None:
    if profile is not None:
        return profile.email
    if winner is None or not (winner.name == "the email alone" or len(winner.variables) > 1):
        return None
    return os.environ.get("AGENTITY_EMAIL")


def _secret(profile: Profile | None, winner: Source | None) -> str | None:
    if profile is not None:
        return shown_address(profile.token_from or profile.password_from) or _ASKED
    if winner is None or winner.name == "--local":
        return None
    if not winner.variables:
        return _ASKED
    variable = winner.variables[-1]
    if variable.endswith("_FROM"):
        return shown_address(Secret(os.environ[variable]))
    # A path that does not exist may be a secret.
    if variable.endswith("_FILE") and os.path.exists(os.environ[variable]):  # noqa: PTH110
        return mask(f"file:{os.environ[variable]}")
    return variable


def shown_address(address: Secret | None) -> str | None:
    """Return an address for display; if its scheme is not known, without its rest."""
    if address is None:
        return None
    from agentkeys.stores import installed

    return mask(address.reveal()) if installed.can_be_opened(address.reveal()) else "unknown:..."


def _base_url_from(options: Options, service: Service[Any], profile: Profile | None) -> str:
    variable = f"{service.name.upper()}_BASE_URL"
    if options.local:
        return "--local"
    if options.base_url is not None:
        return "--base-url"
    if profile is not None:
        return "the profile" if profile.base_url else "the service's own"
    return variable if os.environ.get(variable) else "the service's own"
