"""Where our credentials come from: the environment, or a store that the environment names."""

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
"""What the name of a variable ends in: it holds the secret, the address of a store, or a path."""

_PROGRAMS: Final = "command:"
"""What the address of a store begins with that is a program."""


def is_given(name: str) -> bool:
    """Whether the environment says where a secret comes from: *name*, or it with a suffix."""
    return any(os.environ.get(f"{name}{suffix}") for suffix in SUFFIXES)


def from_environment(name: str) -> Secret | Store | None:
    """Return the secret that the environment holds, or the store that it names.

    ``NAME`` holds the secret, ``NAME_FROM`` the address of a store, and ``NAME_FILE`` the path of a
    file that holds nothing else. An empty variable counts as not set. The store is not read.

    Raises:
        ConfigurationError: several of these are set, or the store cannot be a source. The text
            names the variable, and does not show what it holds.

    """
    given = [f"{name}{suffix}" for suffix in SUFFIXES if os.environ.get(f"{name}{suffix}")]
    if not given:
        return None
    [variable, *others] = given
    if others:
        raise ConfigurationError(f"{' and '.join(given)} are set: unset all but one of them")
    # Bound to no other name: somebody may have put the secret itself there.
    value = Secret(os.environ[variable])
    if variable == name:
        return value
    is_file = variable.endswith("_FILE")
    return _source(_address_of_file(value) if is_file else value, variable)


def sealed(store: object, name: str) -> Store | Secret:
    """Return a store, or its address as a Secret; call it on the first line that sees *store*.

    Somebody may give the secret itself instead of the address, and no traceback may show that.
    """
    return store if isinstance(store, Store) else as_secret(store, name, "a store or its address")


def opened(store: Store | Secret, name: str) -> Store:
    """Return a store, which may be given by its address.

    Args:
        store: the store, or its address.
        name: of the argument or the variable that says which store, for a sentence.

    Raises:
        InvalidArgumentError: it is no address.
        ConfigurationError: the store needs what is not installed.

    """
    if not isinstance(store, Secret):
        return store
    try:
        return open_store(store.reveal())
    except (ConfigurationError, InvalidArgumentError) as error:
        kind = type(error)
        # What is in it of the address, apart from the scheme, may be a secret.
        text = mask(str(error), [Secret(store.reveal().partition(":")[2])])
    reason = text if text not in {"", LEFT_OUT} else "check the address"
    raise kind(f"{name} names no store that can be used: {reason}")


async def secret_in(store: Store, what: str) -> Secret:
    """Return what a store holds, without a change to the store.

    Args:
        store: the store.
        what: what it should hold, for a sentence: "token".

    Raises:
        ConfigurationError: the store is empty.
        StoreError: the store cannot be read.

    """
    secret = await _looked(store, what)
    if secret:
        return secret
    raise ConfigurationError(
        f"there is no {what} in {store.describe()}: put one there, or use other credentials"
    )


async def _looked(store: Store, what: str) -> Secret | None:
    try:
        held: object = (await look_into(store)).secret
        if held is None or isinstance(held, Secret):
            return held
        wrong = f"the {what} in {store.describe()} is no Secret but {type(held).__name__}"
        return unfit(StoreError, wrong)
    except AgentKeysError:
        raise
    except Exception as error:  # noqa: BLE001  # a store may be anybody's, and say the secret
        failure = type(error).__name__
    place = store.describe()
    raise StoreError(f"the {what} in {place} cannot be read: {failure}", store=place)


def _source(address: Secret, variable: str) -> Store:
    """Return the store whose address a variable holds."""
    # Whether there is such a program does not matter, for none is run.
    if address.reveal().startswith(_PROGRAMS):
        raise ConfigurationError(
            f"{variable} names a store that is write-only, and no secret can be read from it: name"
            " a store that can be read, like file:PATH or keyring:SERVICE#NAME"
        )
    try:
        return opened(address, variable)
    except InvalidArgumentError as error:
        sentence = str(error)
    raise ConfigurationError(sentence)


def _address_of_file(path: Secret) -> Secret:
    # What follows the last ? of an address is no part of the path.
    return Secret(f"file:{path.reveal()}{'?' if '?' in path.reveal() else ''}")
