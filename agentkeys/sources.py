"""Where a secret of ours comes from: the environment, or a store that the environment names."""

from __future__ import annotations

import os
from typing import Final

from agentkeys.errors import AgentKeysError, ConfigurationError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores import Store, open_store
from agentkeys.stores.contract.protocol import look_into

__all__ = ["SUFFIXES", "from_environment", "is_given", "secret_in"]

SUFFIXES: Final = ("", "_FROM", "_FILE")
"""What the name of a variable ends in: it holds the secret, the address of a store, or a path."""


def is_given(name: str) -> bool:
    """Whether the environment says where a secret comes from: *name*, or it with a suffix."""
    return any(os.environ.get(f"{name}{suffix}") for suffix in SUFFIXES)


def from_environment(name: str) -> Secret | Store | None:
    """Return the secret that the environment holds, or the store that it names.

    ``NAME`` holds the secret, ``NAME_FROM`` the address of a store, and ``NAME_FILE`` the path of a
    file that holds nothing else. An empty variable counts as not set. The store is not read.

    Raises:
        ConfigurationError: several of these are set, or the store cannot be opened.

    """
    given = [f"{name}{suffix}" for suffix in SUFFIXES if os.environ.get(f"{name}{suffix}")]
    if not given:
        return None
    [variable, *others] = given
    if others:
        raise ConfigurationError(f"{' and '.join(given)} are set: unset all but one of them")
    if variable == name:
        return Secret(os.environ[variable])
    return _opened(variable)


def _opened(variable: str) -> Store:
    # The value is bound to no name: somebody may have put the secret itself there.
    scheme = "file:" if variable.endswith(SUFFIXES[2]) else ""
    try:
        return open_store(f"{scheme}{os.environ[variable]}")
    except AgentKeysError as error:
        reason = str(error)
    raise ConfigurationError(f"{variable} names no store that can be used: {reason}")


async def secret_in(store: Store, what: str) -> Secret:
    """Return what a store holds, without a change to the store.

    Args:
        store: the store.
        what: what it should hold, for a sentence: "token".

    Raises:
        ConfigurationError: the store is empty.
        StoreError: the store cannot be read.

    """
    try:
        secret = (await look_into(store)).secret
    except AgentKeysError:
        raise
    except Exception as error:  # noqa: BLE001  # a store may be anybody's, and say the secret
        failure = type(error).__name__
    else:
        if secret is not None:
            return secret
        raise ConfigurationError(
            f"there is no {what} in {store.describe()}: put one there, or use other credentials"
        )
    place = store.describe()
    raise StoreError(f"the {what} in {place} cannot be read: {failure}", store=place)
