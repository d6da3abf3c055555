"""Exclusive locks on files, and files that are locks.

Locks are advisory, and end with their process. Only `hold` and `locked` wait for a lock: for some
seconds, or until the caller sets an event.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from agentkeys.filesystem import RefusedError, check_planted

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["LockedError", "drop", "hold", "is_still", "lock", "locked", "try_hold", "unlock"]

_PAUSE: Final = 0.01
"""Seconds between two attempts to get a lock."""
_PATIENCE: Final = 5.0
"""Seconds to wait for a lock whose holder works on a small file."""

_KEEPS_OPEN_FILES: Final = (PermissionError,) if sys.platform == "win32" else ()


class LockedError(Exception):
    """Another process or thread holds the lock, and the time is up."""


if sys.platform == "win32":
    import msvcrt

    _FAR_BEHIND: Final = 1 << 30  # others cannot read a locked byte

    def lock(descriptor: int) -> bool:
        """Lock a file while it is open in this process; return False if it is locked already."""
        os.lseek(descriptor, _FAR_BEHIND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Do nothing: closing the file is enough on Windows."""

else:
    import fcntl

    def lock(descriptor: int) -> bool:
        """Lock a file while it is open in this process; return False if it is locked already."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Unlock a file that a forked child may have open too."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_still(path: str | Path, descriptor: int) -> bool:
    """Whether *path* is still the open file: it may have been removed before it was locked."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def locked(path: str, stop: threading.Event) -> Iterator[None]:
    """Hold the lock at *path* among all processes and threads that use this function.

    Raises:
        LockedError: *stop* was set before the lock was free.
        RefusedError: the lock file is not trusted. The text names it.
    """
    while (descriptor := try_hold(path)) is None:
        if stop.wait(_PAUSE):
            raise LockedError
    try:
        yield
    finally:
        drop(path, descriptor)


def hold(path: str, seconds: float = _PATIENCE) -> int | None:
    """Wait for the lock at *path*, and return its descriptor; None if it stays in use.

    The calling thread does nothing else meanwhile. `drop` releases the lock.

    Raises:
        RefusedError: the lock file is not trusted. The text names it.
    """
    until = time.monotonic() + seconds
    while (descriptor := try_hold(path)) is None and time.monotonic() < until:
        time.sleep(_PAUSE)
    return descriptor


def try_hold(path: str) -> int | None:
    """Return the descriptor of the lock, or None if another process or thread holds it."""
    try:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        failure = error
    else:
        return _held(path, descriptor)
    raise _refused_lock(path, failure)


def _refused_lock(path: str, error: OSError) -> OSError:
    """Return an error that names the lock file, if that file is the cause."""
    try:
        status = os.lstat(path)
    except OSError:
        return error
    if error.errno not in {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENXIO}:
        return error
    check_planted(path, status)
    owner = "root" if status.st_uid == 0 else f"uid {status.st_uid}"
    return RefusedError(
        f"the lock file {path} cannot be opened: it belongs to {owner}, perhaps from a"
        " program that was killed. If no such program is running, remove the file"
    )


def _held(path: str, descriptor: int) -> int | None:
    is_ours = False
    try:
        check_planted(path, os.fstat(descriptor))
        # The last holder may have removed the file after we opened it.
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
    """Give root's lock file to the owner of its folder, who can then open it if root is killed."""
    if not hasattr(os, "geteuid"):
        return
    status = os.fstat(descriptor)
    # We created it a moment ago: it is not a file of root's with a hard link here.
    if os.geteuid() == status.st_uid == 0 and status.st_nlink == 1 and not status.st_size:
        owner = os.stat(os.path.dirname(path)).st_uid  # noqa: PTH116, PTH120
        with contextlib.suppress(OSError):
            os.fchown(descriptor, owner, -1)


def drop(path: str, descriptor: int) -> None:
    """Release a lock from `try_hold`."""
    # Removed while it is locked, so that only its holder removes it. Windows removes no open file.
    with contextlib.suppress(FileNotFoundError, *_KEEPS_OPEN_FILES):
        os.unlink(path)  # noqa: PTH108
    unlock(descriptor)
    os.close(descriptor)
