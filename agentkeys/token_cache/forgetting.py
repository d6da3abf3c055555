"""Remove kept tokens: those of one account, or all that are in files."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from agentkeys import locks
from agentkeys.errors import ConfigurationError
from agentkeys.filesystem import RefusedError
from agentkeys.token_cache.entry import Entry
from agentkeys.token_cache.places import InFile, InKeyring, Place, check_folder
from agentkeys.token_cache.slot import files_of, folder

__all__ = ["Forgotten", "forget", "forget_files"]

_ABSENT: Final = (FileNotFoundError, NotADirectoryError)


class Forgotten(NamedTuple):
    """Tokens that were removed.

    Attributes:
        base_url: the service of the tokens; None if the entry could not be read.
        account: the email; None if the entry could not be read.
        place: where the tokens were.
    """

    base_url: str | None
    account: str | None
    place: str


async def forget(base_url: str, account: str, *, keyring: bool) -> list[Forgotten]:
    """Remove the tokens of one account: from its file, and from the keyring if it is used.

    Raises:
        ConfigurationError: they cannot be removed. The text says why.
        StoreError: they cannot be removed from the keyring.
    """
    path, lock = files_of(base_url, account)
    places: list[Place] = [InFile(path), *([InKeyring(path.stem)] if keyring else [])]
    return [each for place in places if (each := await _forgotten(place, lock)) is not None]


async def forget_files() -> list[Forgotten]:
    """Remove all tokens in files. The errors are those of `forget`."""
    found = [await _forgotten(InFile(path), path.with_suffix(".lock")) for path in _files()]
    return [each for each in found if each is not None]


def _files() -> list[Path]:
    path = folder()
    try:
        # A process that was killed while it wrote may have left only the next file.
        names = {each.stem for each in path.iterdir() if each.suffix in {".json", ".next"}}
    except _ABSENT:
        return []
    except OSError as error:
        failure = error
    else:
        return [path / f"{name}.json" for name in sorted(names)]
    raise _cannot(path, failure)


async def _forgotten(place: Place, lock: Path) -> Forgotten | None:
    """Remove the content of a place, under its lock; return None if there is none."""
    try:
        # No folder is created for a file that does not exist; the keyring needs it for its lock.
        if isinstance(place, InFile) and _is_absent(lock.parent):
            return None
        check_folder(lock.parent)
        descriptor = locks.hold(str(lock))  # None if its holder is stopped
        try:
            found = await _read(place)
            await place.remove()
        finally:
            if descriptor is not None:
                locks.drop(str(lock), descriptor)
    except OSError as error:
        failure = error
    else:
        return found
    raise _cannot(place.describe(), failure)


def _is_absent(path: Path) -> bool:
    try:
        path.lstat()
    except _ABSENT:
        return True
    return False


def _cannot(place: object, error: OSError) -> ConfigurationError:
    reason = error.strerror or type(error).__name__
    return ConfigurationError(f"the tokens in {place} cannot be removed: {reason}")


async def _read(place: Place) -> Forgotten | None:
    try:
        text = await place.read()
        if text is None:
            return None
        entry = Entry.decoded(text)
    except RefusedError:
        entry = None  # it is removed nevertheless
    if entry is None:
        return Forgotten(None, None, place.describe())
    return Forgotten(entry.base_url, entry.account, place.describe())
