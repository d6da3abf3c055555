"""The place and the lock of one entry. A failure here ends no command: the command logs in."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, TypeVar

from agentkeys import home, locks
from agentkeys.errors import AgentKeysError, ConfigurationError
from agentkeys.filesystem import RefusedError
from agentkeys.masking import mask
from agentkeys.token_cache.entry import Entry, file_name
from agentkeys.token_cache.places import InFile, InKeyring, Place, check_folder

__all__ = ["Slot", "files_of", "folder"]

T = TypeVar("T")

_logger: Final = logging.getLogger("agentkeys")


class Slot:
    """The entry of one account at one service.

    The first failure is logged: as a warning, or as INFO if there is no folder for it, as in a
    container with a read-only disk. From then on the slot is not usable: it reads as empty, cannot
    be locked, and keeps nothing.

    Args:
        base_url: the address of the service.
        account: the email.
        keyring: whether the entry is in the keyring; else it is in a file.

    Attributes:
        base_url: the address of the service.
        is_usable: whether there was no failure yet.
    """

    def __init__(self, base_url: str, account: str, *, keyring: bool = False) -> None:
        self.is_usable = True
        self.base_url = base_url
        self._account = account
        self._keyring = keyring
        self._opened: tuple[Place, Path] | None = None

    async def read(self) -> Entry | None:
        """Return the entry; None if there is none, or it is incomplete."""
        return await self._tried(self._read())

    async def write(self, entry: Entry) -> bool:
        """Replace the entry; the lock must be held. Return whether it was kept."""
        return bool(await self._tried(self._write(entry)))

    async def remove(self) -> bool:
        """Remove the entry; the lock must be held. Return whether it was removed."""
        return bool(await self._tried(self._remove()))

    def try_hold(self) -> int | None:
        """Return the descriptor of the lock, or None if it is held elsewhere or failed."""
        if not self.is_usable:
            return None
        try:
            return locks.try_hold(str(self._place()[1]))
        except (OSError, AgentKeysError) as error:
            failure = error
        self._fail(failure)
        return None

    def drop(self, descriptor: int) -> None:
        """Release the lock. This process has the tokens, so a failure is ignored."""
        with contextlib.suppress(OSError):
            locks.drop(str(self._place()[1]), descriptor)

    def give_up(self, reason: str, level: int = logging.WARNING) -> None:
        """Stop using the slot, and log the reason once."""
        if self.is_usable:
            self.is_usable = False
            _logger.log(level, "%s, so this process logs in: %s", self._described(), reason)

    async def _tried(self, work: Awaitable[T]) -> T | None:
        try:
            return await work
        except (OSError, AgentKeysError) as error:
            failure = error
        self._fail(failure)
        return None

    async def _read(self) -> Entry | None:
        if not self.is_usable:
            return None
        text = await self._place()[0].read()
        entry = None if text is None else Entry.decoded(text)
        whose = self.base_url, self._account
        # The file of another account may have been copied to this name.
        return entry if entry and (entry.base_url, entry.account) == whose else None

    async def _write(self, entry: Entry) -> bool:
        if self.is_usable:
            await self._place()[0].write(entry.encoded())
        return self.is_usable

    async def _remove(self) -> bool:
        if self.is_usable:
            await self._place()[0].remove()
        return self.is_usable

    def _place(self) -> tuple[Place, Path]:
        """Return the place of the entry, and the path of its lock."""
        if self._opened is None:
            path, lock = files_of(self.base_url, self._account)
            check_folder(path.parent)
            self._opened = InKeyring(path.stem) if self._keyring else InFile(path), lock
        return self._opened

    def _fail(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        is_there = self._opened is not None or isinstance(error, RefusedError)
        level = logging.WARNING if is_there else logging.INFO
        self.give_up(mask(str(reason or type(error).__name__)), level)

    def _described(self) -> str:
        where = "" if self._opened is None else f" in {self._opened[0].describe()}"
        return f"the tokens of {self._account} cannot be kept{where}"


def files_of(base_url: str, account: str) -> tuple[Path, Path]:
    """Return the file of an account's tokens at a service, and that of their lock; see `folder`."""
    path = folder() / f"{file_name(base_url, account)}.json"
    return path, path.with_suffix(".lock")


def folder() -> Path:
    """Return the folder of the entries and their locks.

    Raises:
        ConfigurationError: there is none.

    """
    try:
        return home.cache_folder() / "tokens"
    except ModuleNotFoundError:
        pass
    raise ConfigurationError(
        "a folder for them needs platformdirs: pip install 'agentkeys-sdk[cli]', or set"
        " AGENTKEYS_HOME to a folder"
    )
