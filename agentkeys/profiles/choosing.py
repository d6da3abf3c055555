"""Choose a profile, and open the store of its secret."""

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
    """Return the profile to use for a service, or None.

    Args:
        service: the service's name.
        name: the requested profile, or None.
        variables: the variables of the service, without their suffixes.
        or_default: use the default of the file if no option and no variable concerns the service.

    Raises:
        ProfileError: the profile does not exist, or the file cannot be used.
        ConfigurationError: a variable names a profile, and another variable concerns the service
            too.
        InvalidArgumentError: *name* is not a str.
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
    # The default was not requested: if it has no such account, there is no profile.
    return None if found.default is None else found.named(found.default).get(key)


def variables_set(variables: Iterable[str]) -> list[str]:
    """Return the variables that are set, or have a suffix that names a secret's place."""
    names = (f"{name}{suffix}" for name in variables for suffix in sources.SUFFIXES)
    return [name for name in names if os.environ.get(name)]


def opened(profile: Profile, field: str, address: Secret) -> Store:
    """Return the store in a field, or raise `ProfileError`. The store is not read."""
    where = f"{field} of the profile {profile.name!r}"
    try:
        return sources.opened(address, where)
    except AgentKeysError as error:
        sentence = str(error)
    raise ProfileError(sentence)
