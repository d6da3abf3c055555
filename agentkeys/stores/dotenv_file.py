"""A file of secrets, read and replaced as a whole: never half, never looser, never lost.

Nothing here binds what the file holds to a name in a frame that can raise.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from agentkeys.secret import Secret

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

# Beside the file: the lock of the one who writes, and the next content while it is written. Their
# names are fixed, so that whoever comes next finds and removes what a killed process has left.
_LOCK: Final = ".agentkeys-lock"
_NEXT: Final = ".agentkeys-next"
_OURS_ALONE: Final = 0o600
_PAUSE: Final = 0.01
"""Seconds between two looks at whether a lock is free."""


class LockedError(Exception):
    """Another writer holds the lock, and the time is up."""


@attrs.frozen
class OnDisk:
    """A file as it was found: its text, empty if there is no file, and its status."""

    text: Secret
    status: os.stat_result | None


def read(path: str) -> OnDisk:
    """Read a file, which need not be there, but its folder must."""
    try:
        # Not blocking: at a named pipe somebody would have to write before it could be opened.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120
            raise  # e.g. a disk that is not mounted: it may be there all the same
        return OnDisk(Secret(""), None)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a Path cannot open a descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with contextlib.suppress(UnicodeDecodeError):  # it holds what it could not decode
            return OnDisk(Secret(file.read().decode()), status)
    raise OSError(errno.EILSEQ, "it is not UTF-8")


@contextlib.contextmanager
def prepared(path: str, text: Secret, status: os.stat_result | None) -> Iterator[str]:
    """Write what is to take the place of a file, beside it; the lock must be held.

    What is not put there by `put` is removed.
    """
    with _next(path) as temporary:
        with open(_created(temporary, status), "wb") as file:
            file.write(text.reveal().encode())
            file.flush()
            os.fsync(file.fileno())
        yield temporary


def put(temporary: str, path: str) -> None:
    """Put a prepared file in its place, for good."""
    os.replace(temporary, path)  # noqa: PTH105
    _sync(os.path.dirname(path))  # noqa: PTH120


def marks(status: os.stat_result | None, temporary: str) -> str:
    """Return what tells a file, and the prepared one, from all that will be at their paths."""
    return f"{_mark(status)} {_mark(os.lstat(temporary))}"


def is_untouched(path: str, noted: str) -> bool:
    """Return whether a prepared file was never put in its place; the lock must be held.

    Args:
        path: the file.
        noted: the `marks` of before.

    """
    before, prepared = noted.split(" ")
    # That there is no file, as there was none before, proves nothing: it may have been renamed.
    return _mark_at(path) == before or _mark_at(next_of(path)) == prepared


def next_of(path: str) -> str:
    """Return where the next content of a file is written."""
    return path + _NEXT


def rehearse(path: str, size: int, status: os.stat_result | None) -> None:
    """Prepare a file with *size* bytes that are no secret, and do not put it in place."""
    if _is_mounted(path):
        raise OSError(errno.EBUSY, "it is mounted by itself")
    filler = b"#" * size
    with _next(path) as temporary:
        with open(_created(temporary, status), "wb") as file:
            file.write(filler)
        if Path(temporary).read_bytes() != filler:
            raise OSError(errno.EIO, "what was written is not what is read")


@contextlib.contextmanager
def locked(path: str, stop: threading.Event) -> Iterator[None]:
    """Be the only one who writes a file, among all processes and threads that ask for it.

    Raises:
        LockedError: it was told to stop before the lock was free.

    """
    while (descriptor := _lock(path)) is None:
        if stop.wait(_PAUSE):
            raise LockedError
    try:
        yield
    finally:
        _unlock(path, descriptor)


def tidy(path: str) -> None:
    """Remove what a killed writer has left, if there is anything and no other is at work."""
    if os.path.lexists(path + _NEXT):
        with contextlib.suppress(OSError):
            descriptor = _lock(path)
            if descriptor is not None:
                Path(path + _NEXT).unlink(missing_ok=True)
                _unlock(path, descriptor)


def _mark(status: os.stat_result | None) -> str:
    # The inode's number alone is soon another file's. A change of any kind is another mark.
    return f"{status.st_dev}:{status.st_ino}:{status.st_ctime_ns}" if status else "absent"


def _mark_at(path: str) -> str | None:
    try:
        return _mark(os.lstat(path))
    except FileNotFoundError:
        return None


def _lock(path: str) -> int | None:
    descriptor = os.open(path + _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _OURS_ALONE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one before may have removed the file after we had opened it.
        if os.path.samestat(os.fstat(descriptor), os.lstat(path + _LOCK)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _unlock(path: str, descriptor: int) -> None:
    # Removed while it is held, and so by nobody but its holder.
    Path(path + _LOCK).unlink(missing_ok=True)
    fcntl.flock(descriptor, fcntl.LOCK_UN)  # a forked child may have the descriptor open
    os.close(descriptor)


def _is_mounted(path: str) -> bool:
    """Tell whether a file is a mount of its own, as containers have them: none can replace it."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    except OSError:  # not Linux
        return False
    written = path.replace(" ", r"\040")
    return any(mount.split(" ")[4] == written for mount in mounts.splitlines())


@contextlib.contextmanager
def _next(path: str) -> Iterator[str]:
    temporary = Path(next_of(path))
    temporary.unlink(missing_ok=True)
    try:
        yield str(temporary)
    finally:
        temporary.unlink(missing_ok=True)


def _created(path: str, status: os.stat_result | None) -> int:
    """Create a file that nobody can read who could not read the one before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OURS_ALONE)
    try:
        if status is not None:
            _give_to_owner(descriptor, status)
        os.fchmod(descriptor, _OURS_ALONE & (status.st_mode if status else _OURS_ALONE))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _give_to_owner(descriptor: int, status: os.stat_result) -> None:
    if os.fstat(descriptor).st_uid != status.st_uid:
        os.fchown(descriptor, status.st_uid, -1)
    # The group may read nothing, so it does not matter much.
    with contextlib.suppress(OSError):
        os.fchown(descriptor, -1, status.st_gid)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what some file systems say that cannot do it
            raise
    finally:
        os.close(descriptor)
