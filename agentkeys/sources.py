"""Read credentials from the environment, or from a store that the environment names."""

from __future__ import annotations

import os
from typing import Final

from agentkeys.arguments import as_secret, unfit
from agentkeys.errors import (
    AgentKeysError,
    ConfigurationError,
    InvalidArgumentError,
    StoreError,
)
from agentkeys.masking import LEFT_OUT, mask
from agentkeys.secret import Secret
from agentkeys.stores import Store, open_store
from agentkeys.stores.contract.protocol import look_into

__all__ = ["SUFFIXES", "from_environment", "is_given", "opened", "sealed", "secret_in"]

SUFFIXES: Final = ("", "_FROM", "_FILE")
"""The endings of a variable's name: it holds the secret, the address of a store, or a path."""

_PROGRAMS: Final = "command:"
"""The scheme of a store that runs a program."""


def is_given(name: str) -> bool:
    """Whether the environment has the secret *name*, or a variable of that name and a suffix."""
    return any(os.environ.get(f"{name}{suffix}") for suffix in SUFFIXES)


def from_environment(name: str) -> Secret | Store | None:
    """Return the secret that the environment holds, or the store that it names.

    ``NAME`` holds the secret, ``NAME_FROM`` the address of a store, and ``NAME_FILE`` the path of a
    file that holds only the secret. An empty variable counts as not set. The store is not read.

    Raises:
        ConfigurationError: several of these are set, or the store cannot be read from. The text
            names the variable, and does not show its value.
    """
    given = [f"{name}{suffix}" for suffix in SUFFIXES if os.environ.get(f"{name}{suffix}")]
    if not given:
        return None
    [variable, *others] = given
    if others:
        raise ConfigurationError(f"{' and '.join(given)} are set: unset all but one")
    # Bound to no other name: the value may be the secret itself, by mistake.
    value = Secret(os.environ[variable])
    if variable == name:
        return value
    is_file = variable.endswith("_FILE")
    return _source(_address_of_file(value) if is_file else value, variable)


def sealed(store: object, name: str) -> Store | Secret:
    """Return a store, or its address as a Secret; call this on the first line that sees *store*.

    The address may be the secret itself, by mistake; no traceback may show it.
    """
    return store if isinstance(store, Store) else as_secret(store, name, "a store or its address")


def opened(store: Store | Secret, name: str) -> Store:
    """Return *store*, or the store at that address.

    Args:
        store: the store, or its address.
        name: the name of the argument or variable, for the error's text.

    Raises:
        InvalidArgumentError: *store* is not a valid address.
        ConfigurationError: a dependency of the store is not installed.
    """
    if not isinstance(store, Secret):
        return store
    try:
        return open_store(store.reveal())
    except (ConfigurationError, InvalidArgumentError) as error:
        kind = type(error)
        # Whatever of the address the text quotes, apart from the scheme, may be a secret.
        text = mask(str(error), [Secret(store.reveal().partition(":")[2])])
    reason = text if text not in {"", LEFT_OUT} else "check the address"
    raise kind(f"{name} does not name a usable store: {reason}")


async def secret_in(store: Store, what: str) -> Secret:
    """Return the secret that a store holds; the store is not changed.

    Args:
        store: the store.
        what: what the secret is, for the error's text: "token".

    Raises:
        ConfigurationError: the store is empty.
        StoreError: the store cannot be read.
    """
    secret = await _looked(store, what)
    if secret:
        return secret
    raise ConfigurationError(
        f"there is no {what} in {store.describe()}: store one there, or use other credentials"
    )


async def _looked(store: Store, what: str) -> Secret | None:
    try:
        held: object = (await look_into(store)).secret
        if held is None or isinstance(held, Secret):
            return held
        wrong = f"the {what} in {store.describe()} is not a Secret but {type(held).__name__}"
        return unfit(StoreError, wrong)
    except AgentKeysError:
        raise
    except Exception as error:  # noqa: BLE001  # third-party code, whose error may hold the secret
        failure = type(error).__name__
    place = store.describe()
    raise StoreError(f"the {what} in {place} cannot be read: {failure}", store=place)


def _source(address: Secret, variable: str) -> Store:
    """Return the store whose address a variable holds."""
    # The program need not exist, because it is not run.
    if address.reveal().startswith(_PROGRAMS):
        raise ConfigurationError(
            f"{variable} names a write-only store: name"
            " a store that can be read, like file:PATH or keyring:SERVICE#NAME"
        )
    try:
        return opened(address, variable)
    except InvalidArgumentError as error:
        sentence = str(error)
    raise ConfigurationError(sentence)


def _address_of_file(path: Secret) -> Secret:
    # The text after the last ? of an address is options, not part of the path.
    return Secret(f"file:{path.reveal()}{'?' if '?' in path.reveal() else ''}")
