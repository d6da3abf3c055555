"""The ground for whoever must be alone with a file: locks on it, and files that are locks.

A lock is advisory, and goes with its process. All of them are exclusive. None is waited for but
those of `locked`, whose caller says when it has waited enough.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING, Final

from agentkeys.filesystem import RefusedError, check_planted

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LockedError", "drop", "is_still", "lock", "locked", "try_hold", "unlock"]

_PAUSE: Final = 0.01
"""Seconds between two looks at whether a lock is free."""


class LockedError(Exception):
    """Another one holds the lock, and the time is up."""


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


def is_still(path: str | Path, descriptor: int) -> bool:
    """Whether *path* is the file that was opened: somebody may have removed it before the lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(path: str, stop: threading.Event) -> Iterator[None]:
    """Hold a lock, which is a file of that name, among all processes and threads that ask for it.

    Raises:
        LockedError: it was told to stop before the lock was free.
        RefusedError: the file is somebody else's. The text names it.

    """
    while (descriptor := try_hold(path)) is None:
        if stop.wait(_PAUSE):
            raise LockedError
    try:
        yield
    finally:
        drop(path, descriptor)


def try_hold(path: str) -> int | None:
    """Return the descriptor of a lock that is held now, or None if another one holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        failure = error
    else:
        return _held(path, descriptor)
    raise _refused_lock(path, failure)


def _refused_lock(path: str, error: OSError) -> OSError:
    """Return an error that names the file of a lock, if it is the file that is in the way."""
    try:
        status = os.lstat(path)
    except OSError:
        return error
    if error.errno not in {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO}:
        return error
    check_planted(path, status)
    owner = "root" if status.st_uid == 0 else f"uid {status.st_uid}"
    return RefusedError(
        f"{path}, the file of a lock, cannot be opened: it belongs to {owner}, perhaps from a"
        " program that was killed. If no such program is at work, remove the file"
    )


def _held(path: str, descriptor: int) -> int | None:
    is_ours = False
    try:
        check_planted(path, os.fstat(descriptor))
        # The one before may have removed the file after we had opened it.
        is_ours = lock(descriptor) and is_still(path, descriptor)
        if is_ours:
            _leave_to_owner_of_folder(path, descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if is_ours:
        return descriptor
    os.close(descriptor)
    return None


def _leave_to_owner_of_folder(path: str, descriptor: int) -> None:
    """Let the owner of a folder open the lock that root would leave there if it were killed."""
    status = os.fstat(descriptor)
    # Made by us a moment ago: not a file of root's to which somebody has made a hard link.
    if os.geteuid() == status.st_uid == 0 and status.st_nlink == 1 and not status.st_size:
        owner = os.stat(os.path.dirname(path)).st_uid  # noqa: PTH116, PTH120
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner, -1)


def drop(path: str, descriptor: int) -> None:
    """Give up a lock that `try_hold` has given."""
    # Removed while it is held, and so by nobody but its holder.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
    unlock(descriptor)
    os.close(descriptor)
