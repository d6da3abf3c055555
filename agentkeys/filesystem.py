"""Open files safely: check who owns them and who can change them, and sync them to the disk.

In a folder that every user may write to, such as /tmp, another user can create the file, the link
or the folder that a name leads to. Locks are in `locks`.
"""

from __future__ import annotations

import enum
import errno
import os
import re
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

__all__ = [
    "Objection",
    "RefusedError",
    "check_planted",
    "create_own",
    "file_objection",
    "folder_objection",
    "is_mounted",
    "is_protected",
    "open_own",
    "opened",
    "read",
    "read_trusted",
    "resolved",
    "sync_folder",
    "trusted_path",
]

# Do not follow a link, do not block on a pipe, and do not acquire a terminal.
_SAFELY: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_LINKS: Final = 40  # the limit of Linux
_GET_FLAGS: Final = 0x80086601 if sys.maxsize > 1 << 32 else 0x80046601
_IMMUTABLE_OR_APPEND: Final = 0x10 | 0x20
_ST_FLAGS: Final = stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND
_ESCAPED: Final = re.compile(rb"[ \t\n\\]")
"""The characters that the kernel writes in octal in its list of mounts."""


class RefusedError(OSError):
    """A file or folder is not trusted. The text is a whole sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)

    def __str__(self) -> str:
        return str(self.strerror)


class Objection(enum.Enum):
    """Why a file or a folder is not trusted: another user created it, or can change it."""

    LINK = "it is a link"
    NOT_A_FILE = "it is not a regular file"
    NOT_A_FOLDER = "it is not a folder"
    ANOTHERS = "it belongs to another user (uid {0.st_uid})"
    SECOND_NAME = "it has another name somewhere (a hard link)"
    OPEN = "others may write to it (chmod go-w takes that away)"

    def said(self, status: os.stat_result) -> str:
        """Return the objection as a phrase about the file with that status."""
        return self.value.format(status)


def opened(path: str | os.PathLike[str], *, follow: bool = True) -> int:
    """Open a regular file for reading; do not open anything that may block or never end."""
    # Opening a device may have an effect, so the type is checked first. It is checked again after
    # opening, because the file may be replaced meanwhile; O_NONBLOCK, because a named pipe would
    # block.
    if stat.S_ISREG(os.stat(path, follow_symlinks=follow).st_mode):  # noqa: PTH116
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a regular file")


def read(path: str | os.PathLike[str], *, at_most: int, follow: bool = True) -> bytes:
    """Return the content of a regular file of up to *at_most* bytes."""
    with open(opened(path, follow=follow), "rb") as file:
        return _whole(file, at_most)


def _whole(file: BinaryIO, at_most: int) -> bytes:
    data = file.read(at_most + 1)
    if len(data) > at_most:
        raise OSError(errno.EFBIG, "it is too large")
    return data


def read_trusted(path: Path, *, at_most: int) -> bytes:
    """Return the content of a file that only this user and root can have changed.

    A link is followed if only they can have created it.

    Raises:
        FileNotFoundError: the file does not exist.
        RefusedError: another user can change or replace the file.
        OSError: it cannot be read.

    """
    real = trusted_path(path)
    with open(opened(real, follow=False), "rb") as file:
        _check_trusted(os.fstat(file.fileno()))
        return _whole(file, at_most)


def trusted_path(path: Path) -> Path:
    """Return the real path of a file that only this user and root can replace.

    Raises:
        FileNotFoundError: the folder does not exist.
        RefusedError: another user can replace the file.

    """
    if not hasattr(os, "geteuid"):
        return path.resolve()
    real = type(path)(resolved(str(path)))
    _check_trusted(real.parent.stat(), f"its folder {real.parent} is not safe: ")
    return real


def _check_trusted(status: os.stat_result, where: str = "") -> None:
    why = (
        _open_to_others(status, _WRITABLE_BY_OTHERS)
        if _is_made_by(status, 0)
        else Objection.ANOTHERS
    )
    if why is not None:
        raise RefusedError(f"{where}{why.said(status)}")


def open_own(path: Path, flags: int) -> int:
    """Open a file that only this user can have created and can change.

    Raises:
        FileNotFoundError: it does not exist.
        RefusedError: it is not such a file, or cannot be opened.
    """
    try:
        _check(path.lstat())  # opening a device may have an effect
        descriptor = os.open(path, flags | _SAFELY)
    except (FileNotFoundError, RefusedError):
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return _checked(descriptor)
    raise RefusedError(f"it cannot be opened: {reason}")


def create_own(path: Path, flags: int) -> int:
    """Create a file for this user only; it must not exist.

    Raises:
        RefusedError: the file system gives the file another owner, so this user could not use it
            later.
        OSError: it cannot be created.
    """
    descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        return _checked(descriptor)
    except RefusedError:
        path.unlink(missing_ok=True)
        raise


def _checked(descriptor: int) -> int:
    try:
        _check(os.fstat(descriptor))
    except RefusedError:
        os.close(descriptor)
        raise
    return descriptor


def _check(status: os.stat_result) -> None:
    why = file_objection(status)
    if why is not None:
        raise RefusedError(why.said(status))


def file_objection(
    status: os.stat_result, *, forbidden: int = _WRITABLE_BY_OTHERS
) -> Objection | None:
    """Return why a file is not this user's alone, or None.

    Args:
        status: the status of the file itself, not of a link's target.
        forbidden: the mode bits that it must not have.
    """
    if stat.S_ISLNK(status.st_mode):
        return Objection.LINK
    if not stat.S_ISREG(status.st_mode):
        return Objection.NOT_A_FILE
    if not _is_made_by(status):
        return Objection.ANOTHERS
    if status.st_nlink > 1:
        return Objection.SECOND_NAME
    return _open_to_others(status, forbidden)


def folder_objection(path: str | Path, *, may_be_link: bool = False) -> str | None:
    """Return why a folder is not safe to keep files in, or None.

    Args:
        path: the folder.
        may_be_link: accept a link that this user or root created.

    Raises:
        OSError: it does not exist, or its status cannot be read.
    """
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode) and may_be_link and _is_made_by(status, 0):
        status = os.stat(path)  # noqa: PTH116
    why = _folder_objection(status)
    return None if why is None else why.said(status)


def _folder_objection(status: os.stat_result) -> Objection | None:
    if stat.S_ISLNK(status.st_mode):
        return Objection.LINK
    if not stat.S_ISDIR(status.st_mode):
        return Objection.NOT_A_FOLDER
    if not _is_made_by(status):
        return Objection.ANOTHERS
    return _open_to_others(status, _WRITABLE_BY_OTHERS)


# Windows has no numeric owner and no such mode; there, the folder is in the user's profile.
def _is_made_by(status: os.stat_result, *others: int) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid in {os.geteuid(), *others}


def _open_to_others(status: os.stat_result, forbidden: int) -> Objection | None:
    return Objection.OPEN if hasattr(os, "geteuid") and status.st_mode & forbidden else None


def resolved(path: str) -> str:
    """Return an absolute path without links; its last part need not exist.

    Raises:
        RefusedError: another user may have created a part of it.
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
    """Refuse a file that another user may have put into a folder that all users may write to.

    Args:
        path: the path, without links.
        status: the status of the file.

    Raises:
        RefusedError: it belongs to neither this user nor root.
    """
    folder = os.path.dirname(path)  # noqa: PTH120
    if _is_made_by(status, 0) or not os.lstat(folder).st_mode & stat.S_IWOTH:
        return
    raise RefusedError(
        f"{path} belongs to another user (uid {status.st_uid}), and every user may write to"
        f" {folder}: use a folder of your own"
    )


def _target(path: str) -> str | None:
    """Return the target of a link, or None if *path* is not a link or does not exist."""
    try:
        status = os.lstat(path)
        is_link = stat.S_ISLNK(status.st_mode)
        target = os.readlink(path) if is_link else None  # noqa: PTH115
    except (FileNotFoundError, NotADirectoryError):
        return None
    check_planted(path, status)
    return target


def sync_folder(path: str | Path) -> None:
    """Wait until the names in a folder are on the disk; does nothing on Windows."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems do not support it
            raise
    finally:
        os.close(descriptor)


def is_protected(path: str) -> bool:
    """Return whether a file or folder is immutable or append-only (chattr +i, +a)."""
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return False  # opening a device may have an effect
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
    except OSError:  # the file system has no such flags
        return 0
    return int.from_bytes(found, sys.byteorder)


def is_mounted(path: str) -> bool:
    """Return whether a file is a mount point, as in containers: it cannot be replaced."""
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:  # noqa: PTH123
            points = {mount.split(b" ", 5)[4] for mount in mounts}
    except OSError:  # not Linux
        return False
    return _ESCAPED.sub(lambda char: b"\\%03o" % char[0][0], os.fsencode(path)) in points
