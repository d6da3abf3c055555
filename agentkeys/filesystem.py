"""The ground for whatever is kept in files: who may have put them there, locks, the disk.

What a name leads to may have been put there by somebody else: in a folder that everybody may write
to, such as /tmp, anybody can make the file, the link or the folder that is looked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

__all__ = [
    "LockedError",
    "RefusedError",
    "check_planted",
    "is_mounted",
    "is_protected",
    "locked",
    "opened",
    "read",
    "resolved",
    "sync_folder",
    "try_lock",
    "unlock",
]

_PAUSE: Final = 0.01
"""Seconds between two looks at whether a lock is free."""

_LINKS: Final = 40  # as Linux has it
_READ: Final = 1 << 16
_GET_FLAGS: Final = 0x80086601 if sys.maxsize > 1 << 32 else 0x80046601
_IMMUTABLE_OR_APPEND: Final = 0x10 | 0x20
_ST_FLAGS: Final = stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


class LockedError(Exception):
    """Another one holds the lock, and the time is up."""


class RefusedError(OSError):
    """What lies there is not trusted. The text is a whole sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


def opened(path: str | os.PathLike[str], *, follow: bool = True) -> int:
    """Open a regular file to read it, and nothing that would wait for somebody or never end."""
    # Not blocking: at a named pipe somebody would have to write before it could be opened.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file")


def read(path: str | os.PathLike[str], *, at_most: int, follow: bool = True) -> bytes:
    """Return what a regular file holds, if that is no more than *at_most* bytes."""
    with open(opened(path, follow=follow), "rb") as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise OSError(errno.EFBIG, "it is too large")
    return data


def resolved(path: str) -> str:
    """Return an absolute path without links, the last part of which need not be there.

    Raises:
        RefusedError: somebody else may have put a part of it there.

    """
    here, links, parts = "/", 0, path.split("/")[::-1]
    while parts:
        part = parts.pop()
        if part == "..":
            here = os.path.dirname(here)  # noqa: PTH120
        elif part not in {"", "."}:
            there = os.path.join(here, part)  # noqa: PTH118
            target = _target(there)
            if target is None:
                here = there
                continue
            links += 1
            if links > _LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            here = "/" if target.startswith("/") else here
            parts.extend(target.split("/")[::-1])
    return here


def check_planted(path: str, status: os.stat_result) -> None:
    """Refuse what somebody else may have put into a folder that everybody may write to.

    Args:
        path: what was looked for, without links.
        status: that of what was found there.

    Raises:
        RefusedError: it is neither ours nor root's.

    """
    folder = os.path.dirname(path)  # noqa: PTH120
    if status.st_uid in {os.geteuid(), 0} or not os.lstat(folder).st_mode & stat.S_IWOTH:
        return
    raise RefusedError(
        f"{path} belongs to another user (uid {status.st_uid}), and everybody may write to"
        f" {folder}: use a folder of your own"
    )


def _target(path: str) -> str | None:
    """Return where a link leads, or None if it is none, or not there."""
    try:
        status = os.lstat(path)
        is_link = stat.S_ISLNK(status.st_mode)
        target = os.readlink(path) if is_link else None  # noqa: PTH115
    except (FileNotFoundError, NotADirectoryError):
        return None
    check_planted(path, status)
    return target


@contextlib.contextmanager
def locked(path: str, stop: threading.Event) -> Iterator[None]:
    """Hold a lock, which is a file of that name, among all processes and threads that ask for it.

    Raises:
        LockedError: it was told to stop before the lock was free.
        RefusedError: the file is somebody else's. The text names it.

    """
    while (descriptor := try_lock(path)) is None:
        if stop.wait(_PAUSE):
            raise LockedError
    try:
        yield
    finally:
        unlock(path, descriptor)


def try_lock(path: str) -> int | None:
    """Return the descriptor of a lock that is held now, or None if another one holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        failure = error
    else:
        return _locked(path, descriptor)
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


def _locked(path: str, descriptor: int) -> int | None:
    import fcntl

    try:
        status = os.fstat(descriptor)
        check_planted(path, status)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one before may have removed the file after we had opened it.
        if os.path.samestat(status, os.lstat(path)):
            _leave_to_owner_of_folder(path, descriptor)
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
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


def unlock(path: str, descriptor: int) -> None:
    """Give up a lock."""
    import fcntl

    # Removed while it is held, and so by nobody but its holder.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may have the descriptor open
    os.close(descriptor)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what some file systems say that cannot do it
            raise
    finally:
        os.close(descriptor)


def is_protected(path: str) -> bool:
    """Return whether a file or folder cannot be changed, or only grow (chattr +i, +a)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        flags = getattr(os.fstat(descriptor), "st_flags", None)
        if flags is not None:  # macOS and the BSDs
            return bool(flags & _ST_FLAGS)
        return bool(_linux_flags(descriptor) & _IMMUTABLE_OR_APPEND)
    finally:
        os.close(descriptor)


def _linux_flags(descriptor: int) -> int:
    import fcntl

    try:
        found = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
    except OSError:  # a file system that has no such flags
        return 0
    return int.from_bytes(found, sys.byteorder)


def is_mounted(path: str) -> bool:
    """Return whether a file is a mount of its own, as containers have them: none can replace it."""
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:  # noqa: PTH123
            points = [mount.split(b" ")[4] for mount in mounts]
    except OSError:  # not Linux
        return False
    return os.fsencode(path) in {
        _OCTAL.sub(lambda octal: bytes([int(octal[1], 8)]), point) for point in points
    }
