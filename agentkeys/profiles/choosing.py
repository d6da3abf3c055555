"""Which profile is meant, if any; and the store in which its secret lies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from agentkeys import plain, sources
from agentkeys.errors import AgentKeysError, ConfigurationError, InvalidArgumentError, ProfileError
from agentkeys.profiles import config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentkeys.profiles.config import Profile
    from agentkeys.secret import Secret
    from agentkeys.stores import Store

__all__ = ["VARIABLE", "chosen", "opened", "variables_set"]

VARIABLE: Final = "AGENTKEYS_PROFILE"


def chosen(
    service: str, name: object, variables: Iterable[str], *, or_default: bool = False
) -> Profile | None:
    """Return the profile to use for a service, or None if none is meant.

    Args:
        service: the service, as it calls itself.
        name: the profile that was asked for, or None.
        variables: those that say something of the service, without their suffixes.
        or_default: use the default of the file if nothing else says anything of the service.

    Raises:
        ProfileError: the profile is not there, or the file cannot be used.
        ConfigurationError: a variable names a profile, and another one says something, too.
        InvalidArgumentError: *name* is no str.

    """
    key = service.lower()
    if name is not None:
        if not isinstance(name, str):
            kind = type(name).__name__
            raise InvalidArgumentError(f"profile must be the name of a profile, not {kind}")
        return config.read().profile(plain.text(name), key)
    given = variables_set(variables)
    if named := os.environ.get(VARIABLE):
        if given:
            raise ConfigurationError(
                f"{VARIABLE} and {' and '.join(given)} are set, and each may mean another account"
                f" of {service}: unset one of them"
            )
        return config.read().profile(named, key)
    if given or not or_default:
        return None
    found = config.read()
    # Nobody has asked for it: if it has no such account, there is no profile.
    return None if found.default is None else found.named(found.default).get(key)


def variables_set(variables: Iterable[str]) -> list[str]:
    """Return which of these are set, or say by a suffix where a secret is."""
    names = (f"{name}{suffix}" for name in variables for suffix in sources.SUFFIXES)
    return [name for name in names if os.environ.get(name)]


def opened(profile: Profile, field: str, address: Secret) -> Store:
    """Return the store that a field names, or raise `ProfileError`. The store is not read."""
    where = f"{field} of the profile {profile.name!r}"
    try:
        return sources.opened(address, where)
    except AgentKeysError as error:
        sentence = str(error)
    raise ProfileError(sentence)
