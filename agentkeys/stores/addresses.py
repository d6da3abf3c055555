"""Open a store from its address, a line of text for a command line or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentkeys import plain
from agentkeys.errors import InvalidArgumentError
from agentkeys.schemes import FORMS, KEPT
from agentkeys.stores import installed
from agentkeys.stores.contract import Store

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["open_store"]


def open_store(address: str) -> Store:
    """Return the store of an address: a scheme, a colon, and the place.

    - ``memory:NAME``: the memory of this process.
    - ``dotenv:PATH#NAME``: an entry of a dotenv file; ``dotenv:PATH#NAME?allow_tracked`` allows a
      file that git tracks.
    - ``file:PATH``: a file that holds the secret only; ``file:PATH?allow_tracked``.
    - ``keyring:SERVICE#NAME``: the keyring of the operating system.
    - ``kubernetes:NAMESPACE/SECRET#KEY``: a key of a Secret of Kubernetes;
      ``kubernetes:NAMESPACE/SECRET#KEY?context=NAME`` names a context of the kubeconfig.
    - ``vault:MOUNT/PATH#FIELD``: a field of a secret in HashiCorp Vault or OpenBao.
    - ``command:PROGRAM ARGS``: a program that reads the secret on its standard input; quoted as in
      a shell, but run without one.
    - ``aws:NAME#JSON_KEY``: AWS Secrets Manager; without ``#JSON_KEY`` the whole secret.
      ``?region=REGION`` may follow.

    An installed package can declare further schemes. It is imported when an address needs it.

    Raises:
        InvalidArgumentError: *address* is not an address.
        ConfigurationError: a dependency of the store is not installed, or the package of the store
            is broken. The text says what to do.
    """
    if not isinstance(address, str):
        kind = type(address).__name__
        raise InvalidArgumentError(f"the address of a store must be a str, not {kind}")
    scheme, colon, place = plain.text(address).partition(":")
    if not colon or not place:
        raise _no_address()
    if scheme in _OPENING:
        return _OPENING[scheme](place)
    store = installed.opened(scheme, place)
    if store is None:
        raise _no_address()
    return store


def _no_address() -> InvalidArgumentError:
    # Not the address itself or a part of it, which may be a secret by mistake.
    known = ", ".join([*KEPT, *(f"{scheme}:..." for scheme in installed.schemes())])
    return InvalidArgumentError(
        f"that is not the address of a store: use {known} or, for tests, {FORMS['memory']}; for"
        " another kind of store, install its package"
    )


def _memory(place: str) -> Store:
    from agentkeys.stores.memory import MemoryStore

    return MemoryStore(place)


def _dotenv(place: str) -> Store:
    from agentkeys.stores.dotenv import DotenvStore
    from agentkeys.stores.files import ALLOW_TRACKED

    # From the right: a path may contain a #, and a name may not.
    path, name = _divided("dotenv", place)
    allow_tracked = name.endswith(ALLOW_TRACKED)
    return DotenvStore(path, name.removesuffix(ALLOW_TRACKED), allow_tracked=allow_tracked)


def _file(place: str) -> Store:
    from agentkeys.stores.file import FileStore

    return FileStore.at(place)


def _keyring(place: str) -> Store:
    from agentkeys.stores.keyring import KeyringStore

    return KeyringStore(*_divided("keyring", place))


def _vault(place: str) -> Store:
    from agentkeys.stores.vault import VaultStore

    return VaultStore.at(place)


def _aws(place: str) -> Store:
    from agentkeys.stores.aws import AwsStore

    return AwsStore.at(place)


def _command(place: str) -> Store:
    from agentkeys import programs
    from agentkeys.stores.command import CommandStore

    return CommandStore(programs.parsed(place))


def _kubernetes(place: str) -> Store:
    from agentkeys.stores.kubernetes import KubernetesStore

    return KubernetesStore.at(place)


def _divided(scheme: str, place: str) -> tuple[str, str]:
    where, sign, name = place.rpartition("#")
    if not sign or not where or not name:
        raise InvalidArgumentError(f"the address of this kind of store is {FORMS[scheme]}")
    return where, name


# The form of each address is in `FORMS`, and in a table of docs/stores.md.
_OPENING: Final[dict[str, Callable[[str], Store]]] = {
    "memory": _memory,
    "dotenv": _dotenv,
    "file": _file,
    "keyring": _keyring,
    "vault": _vault,
    "command": _command,
    "aws": _aws,
    "kubernetes": _kubernetes,
}
