"""The ground for whatever is kept in files: how they are opened, whose they are, and the disk.

What a name leads to may have been put there by somebody else: in a folder that everybody may write
to, such as /tmp, anybody can make the file, the link or the folder that is looked for. Locks are in
`locks`.
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
    "resolved",
    "sync_folder",
]

# A link is not followed, a pipe does not block, and nothing becomes the terminal.
_SAFELY: Final = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"))
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_LINKS: Final = 40  # as Linux has it
_GET_FLAGS: Final = 0x80086601 if sys.maxsize > 1 << 32 else 0x80046601
_IMMUTABLE_OR_APPEND: Final = 0x10 | 0x20
_ST_FLAGS: Final = stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND
_ESCAPED: Final = re.compile(rb"[ \t\n\\]")
"""What the kernel writes in octal in a list of mounts."""


class RefusedError(OSError):
    """What lies there is not trusted. The text is a whole sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)

    def __str__(self) -> str:
        return str(self.strerror)


class Objection(enum.Enum):
    """Why a file or a folder is not trusted: somebody else made it, or can change it."""

    LINK = "it is a link"
    NOT_A_FILE = "it is not a regular file"
    NOT_A_FOLDER = "it is not a folder"
    ANOTHERS = "it belongs to another user (uid {0.st_uid})"
    SECOND_NAME = "it has another name somewhere (a hard link)"
    OPEN = "others may write to it (chmod go-w takes that away)"

    def said(self, status: os.stat_result) -> str:
        """Return it as a sentence about what has that status."""
        return self.value.format(status)


def opened(path: str | os.PathLike[str], *, follow: bool = True) -> int:
    """Open a regular file to read it, and nothing that would wait for somebody or never end."""
    # To open a device may do something. It is looked at again, for it may be exchanged meanwhile:
    # at a named pipe somebody would have to write before it could be opened, if it blocked.
    if stat.S_ISREG(os.stat(path, follow_symlinks=follow).st_mode):  # noqa: PTH116
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


def open_own(path: Path, flags: int) -> int:
    """Open a file that this user alone can have made and can change.

    Raises:
        FileNotFoundError: it is not there.
        RefusedError: it is not such a file, or cannot be opened.

    """
    try:
        _check(path.lstat())  # or a device would be opened, which may do something
        descriptor = os.open(path, flags | _SAFELY)
    except (FileNotFoundError, RefusedError):
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return _checked(descriptor)
    raise RefusedError(f"it cannot be opened: {reason}")


def create_own(path: Path, flags: int) -> int:
    """Create a file that is not there, for this user alone.

    Raises:
        RefusedError: the disk gives it to somebody else, so that nobody would read it later.
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
    """Return why what lies there is no file of this user alone, or None.

    Args:
        status: that of what was found, and not of what a link leads to.
        forbidden: the bits of a mode that it must not have.

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
        may_be_link: accept a link that this user or root has made.

    Raises:
        OSError: it is not there, or cannot be looked at.

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


# Windows knows no owner by number, and no such mode: there a folder is in the user's profile.
def _is_made_by(status: os.stat_result, *others: int) -> bool:
    return not hasattr(os, "geteuid") or status.st_uid in {os.geteuid(), *others}


def _open_to_others(status: os.stat_result, forbidden: int) -> Objection | None:
    return Objection.OPEN if hasattr(os, "geteuid") and status.st_mode & forbidden else None


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


def sync_folder(path: str | Path) -> None:
    """Wait until the names in a folder are on the disk, where a folder can be opened."""
    if sys.platform == "win32":
        return
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
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return False  # and a device is not opened, which may do something
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
            points = {mount.split(b" ", 5)[4] for mount in mounts}
    except OSError:  # not Linux
        return False
    return _ESCAPED.sub(lambda char: b"\\%03o" % char[0][0], os.fsencode(path)) in points
