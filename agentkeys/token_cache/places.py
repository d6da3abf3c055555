"""The places of an entry's text: a file of this user alone, or the keyring."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final, Protocol

from agentkeys import filesystem
from agentkeys.filesystem import RefusedError
from agentkeys.secret import Secret
from agentkeys.stores import Store

__all__ = ["InFile", "InKeyring", "Place", "check_folder"]

_LARGEST: Final = 1 << 16
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_SERVICE: Final = "agentkeys-tokens"
_PATIENCE: Final = 10.0
"""Seconds for the keyring, which a person may have to unlock; a login takes less."""


class Place(Protocol):
    """A place for one text. It raises `OSError` or `AgentKeysError`."""

    async def read(self) -> Secret | None:
        """Return the text, or None."""

    async def write(self, text: Secret) -> None:
        """Replace the text; the lock must be held."""

    async def remove(self) -> None:
        """Remove the text; the lock must be held."""

    def describe(self) -> str:
        """Return the place of the text."""


class InFile:
    """A file in a folder that `check_folder` has checked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # A fixed name, so that the next process finds the leftovers of a killed one.
        self._next = path.with_suffix(".next")

    async def read(self) -> Secret | None:
        """Read the file, if only this user can write and read it."""
        return _text(self._path)

    async def write(self, text: Secret) -> None:
        """Replace the file as a whole. A power failure may lose it, which costs a login."""
        self._next.unlink(missing_ok=True)
        try:
            _create(self._next, text)
            self._next.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                self._next.unlink()
            raise

    async def remove(self) -> None:
        """Remove the file, and the leftovers of a killed process."""
        self._next.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def describe(self) -> str:
        """Return the path."""
        return str(self._path)


class InKeyring:
    """An entry of the keyring."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._opened: Store | None = None

    async def read(self) -> Secret | None:
        """Read the entry."""
        return (await self._store().read()).secret

    async def write(self, text: Secret) -> None:
        """Write the entry."""
        await self._store().write(text)

    async def remove(self) -> None:
        """Remove the entry."""
        await self._store().remove()

    def describe(self) -> str:
        """Return the address of the entry."""
        return f"keyring:{_SERVICE}#{self._name}"

    def _store(self) -> Store:
        if self._opened is None:
            from agentkeys.stores import KeyringStore  # it needs what may not be installed

            self._opened = KeyringStore(_SERVICE, self._name, timeout=_PATIENCE)
        return self._opened


def check_folder(folder: Path) -> None:
    """Create a folder if necessary, and check that only this user can change it.

    Raises:
        RefusedError: another user owns it or the folder above it, or may write there.
        OSError: it cannot be created.
    """
    _make(folder)
    for each in (folder.parent, folder):
        why = filesystem.folder_objection(each, may_be_link=each != folder)
        if why is not None:
            raise RefusedError(f"{each}: {why}")


def _make(folder: Path) -> None:
    # `parents=True` would make those above it for all whom the umask lets in.
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _text(path: Path) -> Secret | None:
    try:
        descriptor = filesystem.open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a Path cannot open a descriptor
        if hasattr(os, "geteuid") and os.fstat(descriptor).st_mode & _OTHERS:
            raise RefusedError("others may read it (chmod go-rwx takes that away)")
        return Secret(file.read(_LARGEST).decode("utf-8", "replace"))


def _create(path: Path, text: Secret) -> None:
    with open(filesystem.create_own(path, os.O_WRONLY), "wb") as file:  # noqa: PTH123
        file.write(text.reveal().encode())
