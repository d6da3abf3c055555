"""A store as a line of text, for a command line or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentkeys import plain
from agentkeys.errors import InvalidArgumentError
from agentkeys.stores.contract import Store

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["open_store"]


def open_store(address: str) -> Store:
    """Return the store of an address: what says which kind of store, a colon, and where.

    - ``memory:NAME``: the memory of this process.
    - ``dotenv:PATH#NAME``: an entry of a dotenv file; ``dotenv:PATH#NAME?allow_tracked`` permits a
      file that git tracks.
    - ``file:PATH``: a file with the secret and nothing else; ``file:PATH?allow_tracked``.
    - ``keyring:SERVICE#NAME``: the keyring of the operating system.
    - ``command:PROGRAM ARGS``: a program that reads the secret on its standard input; quoted as in
      a shell, but run without one.

    Raises:
        InvalidArgumentError: it is no address.
        ConfigurationError: what the store needs is not installed. The text says what to install.

    """
    if not isinstance(address, str):
        kind = type(address).__name__
        raise InvalidArgumentError(f"the address of a store must be a str, not {kind}")
    kind, colon, place = plain.text(address).partition(":")
    if not colon or kind not in _KINDS or not place:
        # Not the address itself: somebody may have given a secret instead.
        raise InvalidArgumentError(
            "that is no address of a store: give dotenv:PATH#NAME, keyring:SERVICE#NAME,"
            " command:PROGRAM ARGS or, for tests, memory:NAME"
        )
    return _KINDS[kind](place)


def _memory(place: str) -> Store:
    from agentkeys.stores.memory import MemoryStore

    return MemoryStore(place)


def _dotenv(place: str) -> Store:
    from agentkeys.stores.dotenv import DotenvStore
    from agentkeys.stores.files import ALLOW_TRACKED

    # From the right: a path may have a # in it, and a name may not.
    path, name = _divided(place, "dotenv:PATH#NAME")
    allow_tracked = name.endswith(ALLOW_TRACKED)
    return DotenvStore(path, name.removesuffix(ALLOW_TRACKED), allow_tracked=allow_tracked)


def _file(place: str) -> Store:
    from agentkeys.stores.file import FileStore

    return FileStore.at(place)


def _keyring(place: str) -> Store:
    from agentkeys.stores.keyring import KeyringStore

    return KeyringStore(*_divided(place, "keyring:SERVICE#NAME"))


def _command(place: str) -> Store:
    from agentkeys import programs
    from agentkeys.stores.command import CommandStore

    return CommandStore(programs.parsed(place))


def _divided(place: str, example: str) -> tuple[str, str]:
    where, sign, name = place.rpartition("#")
    if not sign or not where or not name:
        raise InvalidArgumentError(f"the address of such a store is {example}")
    return where, name


_KINDS: dict[str, Callable[[str], Store]] = {
    "memory": _memory,
    "dotenv": _dotenv,
    "file": _file,
    "keyring": _keyring,
    "command": _command,
}
