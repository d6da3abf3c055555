"""The one door to files of state: they are ours, of a bounded size, and of nobody's making else.

What lies in the folder may have been put there by another user, by root, or by a backup. A file
decides what is deleted, so only one is read that this user alone can have written.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Final

from agentkeys import home

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "RefusedError",
    "append",
    "check_folder",
    "create",
    "is_still",
    "lock",
    "make_folder",
    "names",
    "open_own",
    "read",
    "sync_folder",
    "unlock",
]

_LARGEST: Final = 1 << 20
"""Bytes: more than any attempt has."""
# A link is not followed, a pipe does not block, and nothing becomes the terminal.
_SAFELY: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))


class RefusedError(Exception):
    """A file or folder is not to be trusted, or cannot be used. Its text is the reason."""


def open_own(path: Path) -> int:
    """Open a file of ours, to be read and appended to.

    Raises:
        FileNotFoundError: it is not there.
        RefusedError: it is not ours alone, or cannot be opened.

    """
    try:
        _check(path.lstat())  # or a device would be opened, which may do something
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | _SAFELY)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        try:
            _check(os.fstat(descriptor))
        except RefusedError:
            os.close(descriptor)
            raise
        return descriptor
    raise RefusedError(f"it cannot be opened: {reason}")


def create(path: Path) -> int:
    """Create a file of ours that is not there.

    Raises:
        RefusedError: the disk gives it to somebody else, so that nobody would read it later.
        OSError: it cannot be created.

    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    try:
        _check(os.fstat(descriptor))
    except RefusedError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def read(descriptor: int) -> bytes:
    """Return what a file holds.

    Raises:
        RefusedError: it has grown beyond all bounds.

    """
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise RefusedError(_TOO_LONG)
    return text


def append(descriptor: int, line: bytes) -> None:
    """Add a line, which is durable when this returns."""
    # Of a process that died, or on a disk that was full, the last line may be a part of one.
    text = read(descriptor)
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        os.ftruncate(descriptor, whole)
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def check_folder(path: Path) -> None:
    """See that a folder and the one above it, which may be a link of this user's, are ours alone.

    Raises:
        FileNotFoundError: one is not there.
        RefusedError: one is somebody else's, or cannot be looked at.

    """
    for folder, may_be_link in ((path.parent, True), (path, False)):
        try:
            why = home.folder_objection(folder, may_be_link=may_be_link)
        except FileNotFoundError:
            if os.path.lexists(folder):
                raise RefusedError(f"{folder} is a link that leads nowhere") from None
            raise
        except OSError as error:
            why = error.strerror or type(error).__name__
        if why:
            raise RefusedError(why if folder == path else f"{folder}: {why}")


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that a power failure leaves them."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        sync_folder(path.parent)


def names(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder with that ending; none if there is no folder.

    Raises:
        RefusedError: the folder is not ours alone, or cannot be listed.

    """
    try:
        check_folder(folder)
        found = os.listdir(folder)  # noqa: PTH208  # Path.glob passes over what it cannot read
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return [folder / name for name in sorted(found) if name.endswith(suffix)]
    raise RefusedError(f"it cannot be listed: {reason}")


def is_still(path: Path, descriptor: int) -> bool:
    """Whether *path* is the file that was opened: somebody may have removed it before the lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


_TOO_LONG: Final = f"it is longer than {_LARGEST >> 20} MiB"


def _check(status: os.stat_result) -> None:
    why = _objection(status)
    if why:
        raise RefusedError(why)


def _objection(status: os.stat_result) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "it is a link"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_nlink > 1:
        return "it has another name somewhere (a hard link)"
    if status.st_size > _LARGEST:
        return _TOO_LONG
    return home.objection(status)


if sys.platform == "win32":
    import msvcrt

    _FAR_BEHIND: Final = 1 << 30  # a locked byte cannot be read by others

    def lock(descriptor: int) -> bool:
        """Lock a file for as long as it is open in this process; False if another one has it."""
        os.lseek(descriptor, _FAR_BEHIND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Do nothing: closing it is enough here."""

    def sync_folder(path: Path) -> None:
        """Do nothing: a folder cannot be opened here."""

else:
    import fcntl

    def lock(descriptor: int) -> bool:
        """Lock a file for as long as it is open in this process; False if another one has it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Unlock a file, which a forked child may have open, too."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def sync_folder(path: Path) -> None:
        """Let a power failure leave what is in a folder."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
