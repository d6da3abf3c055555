"""Read and replace a file of secrets as a whole: no partial write, no wider mode, no loss.

No frame here that can raise binds the file's content to a name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from agentkeys import filesystem, locks
from agentkeys.secret import Secret

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from typing import BinaryIO

# Beside the file: the lock of its writer, and the folder in which the next content is written.
# Their names are fixed, so that the next writer finds and removes the leftovers of a killed
# process.
_LOCK: Final = ".agentkeys-lock"
_NEXT: Final = ".agentkeys-next"
_OURS_ALONE: Final = 0o600


@attrs.frozen
class OnDisk:
    """A file as it was found: its text, empty if there is no file, and its status."""

    text: Secret
    status: os.stat_result | None


def read(path: str, most: int | None = None) -> OnDisk:
    """Read a file, given without links. The file need not exist, but its folder must.

    Args:
        path: the file.
        most: the largest size in bytes.
    """
    try:
        descriptor = filesystem.opened(path, follow=False)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120
            raise  # e.g. a disk that is not mounted: the file may exist there
        return OnDisk(Secret(""), None)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a Path cannot open a descriptor
        status = os.fstat(descriptor)
        filesystem.check_planted(path, status)
        text = _text(file, most)
    if isinstance(text, OSError):
        raise text
    return OnDisk(text, status)


def _text(file: BinaryIO, most: int | None) -> Secret | OSError:
    """Return the text of a file, or an error; a frame with its bytes raises nothing."""
    data = file.read(-1 if most is None else most + 1)
    if most is not None and len(data) > most:
        return OSError(errno.EFBIG, f"it is larger than {most} bytes")
    try:
        return Secret(data.decode())
    except UnicodeDecodeError:  # the error holds the bytes
        return OSError(errno.EILSEQ, "it is not UTF-8")


def check_replaceable(path: str) -> None:
    """Raise `OSError` if a file cannot be replaced, before anything is changed."""
    if _is_of_kubernetes(path):
        raise filesystem.RefusedError(
            "Kubernetes mounts it, and would undo the change: write the Secret itself, for example"
            " with kubernetes:NAMESPACE/SECRET#KEY"
        )
    if filesystem.is_mounted(path):
        raise OSError(errno.EBUSY, "it is a mount point")
    folder = os.path.dirname(path)  # noqa: PTH120
    for each in (folder, path) if os.path.lexists(path) else (folder,):
        if filesystem.is_protected(each):
            raise filesystem.RefusedError(
                f"{each} is protected (chattr +i or +a): run chattr -i -a {shlex.quote(each)}"
            )


@attrs.frozen
class Prepared:
    """A file that is about to replace another file.

    Args:
        folder: the descriptor of its folder, which nobody can replace.
        name: its name in the folder.
        status: its status; device and inode stay the same when it replaces the other file.
    """

    folder: int
    name: str
    status: os.stat_result

    def read(self) -> Secret:
        """Read it as a program would."""
        descriptor = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self.folder)
        with open(descriptor, encoding="utf-8", newline="") as file:  # noqa: PTH123
            return Secret(file.read())

    def put(self, path: str) -> None:
        """Replace the other file, durably."""
        os.replace(self.name, path, src_dir_fd=self.folder)
        filesystem.sync_folder(os.path.dirname(path))  # noqa: PTH120


@contextlib.contextmanager
def prepared(path: str, text: Secret, status: os.stat_result | None) -> Iterator[Prepared]:
    """Write the new content beside a file, while the lock is held.

    If the new file is not put in place, it is removed.
    """
    with _next(path) as folder:
        yield _written(folder, path, text, status, sync=True)


def rehearse(path: str, size: int, status: os.stat_result | None) -> None:
    """Prepare a file with *size* bytes that are not secret, and do not put it in place."""
    filler = Secret("#" * size)
    with _next(path) as folder:
        if _written(folder, path, filler, status, sync=False).read() != filler:
            raise OSError(errno.EIO, "it does not return what was written")


def remove(path: str) -> None:
    """Remove a file durably, while the lock is held. It need not exist."""
    _remove_next(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
        filesystem.sync_folder(os.path.dirname(path))  # noqa: PTH120


def next_of(path: str) -> str:
    """Return the path of the next content of a file.

    It has the file's own name, so that a pattern of a .gitignore for the file matches it too:
    ``.env`` and ``*.env`` do, and ``.env*`` and ``.env.*`` match the folder.
    """
    return os.path.join(path + _NEXT, os.path.basename(path))  # noqa: PTH118, PTH119


def locked(path: str, stop: threading.Event) -> contextlib.AbstractContextManager[None]:
    """Hold the writer's lock of a file, among all processes and threads that use this function."""
    return locks.locked(path + _LOCK, stop)


def marks(status: os.stat_result | None, following: Prepared) -> str:
    """Return a string that distinguishes a file and the prepared one from all later files there."""
    return f"{_mark(status)} {_mark(following.status)}"


def is_untouched(path: str, noted: str) -> bool:
    """Return whether a prepared file was never put in place, while the lock is held.

    Args:
        path: the file.
        noted: the `marks` of before.
    """
    before, _, prepared = noted.partition(" ")
    # A file that did not exist and does not exist proves nothing: it may have been renamed.
    return _mark_at(path) == before or _mark_at(next_of(path)) == prepared


def tidy(path: str) -> None:
    """Remove the leftovers of a killed writer, unless another writer is at work."""
    if os.path.lexists(path + _NEXT):
        with contextlib.suppress(OSError):
            descriptor = locks.try_hold(path + _LOCK)
            if descriptor is not None:
                try:
                    _remove_next(path)
                finally:
                    locks.drop(path + _LOCK, descriptor)


def _is_of_kubernetes(path: str) -> bool:
    """Return whether a file is in a volume that Kubernetes replaces as a whole, by ``..data``."""
    return any(os.path.islink(folder / "..data") for folder in Path(path).parents)  # noqa: PTH114


def _mark(status: os.stat_result | None) -> str:
    # The inode's number alone is soon reused. Any change makes another mark.
    return f"{status.st_dev}:{status.st_ino}:{status.st_ctime_ns}" if status else "absent"


def _mark_at(path: str) -> str | None:
    try:
        return _mark(os.lstat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _written(
    folder: int, path: str, text: Secret, status: os.stat_result | None, *, sync: bool
) -> Prepared:
    name = os.path.basename(path)  # noqa: PTH119
    with open(_created(folder, name, status), "wb") as file:
        file.write(text.reveal().encode())
        file.flush()
        if sync:
            os.fsync(file.fileno())
        return Prepared(folder, name, os.fstat(file.fileno()))


@contextlib.contextmanager
def _next(path: str) -> Iterator[int]:
    _remove_next(path)
    try:
        folder = _made_folder(path + _NEXT)
        try:
            yield folder
        finally:
            os.close(folder)
    finally:
        _remove_next(path)


def _made_folder(path: str) -> int:
    """Create and open a folder for this user only, which git ignores whatever its rules are."""
    os.mkdir(path, 0o700)  # noqa: PTH102
    if os.geteuid() != 0:  # whatever the umask; root needs no mode, and must not follow a link
        os.chmod(path, 0o700)  # noqa: PTH101
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(folder, 0o700)
        with open(_created(folder, ".gitignore", None), "wb") as file:
            file.write(b"*\n")
        if os.geteuid() == 0:  # or its owner could not remove what a killed root process leaves
            os.fchown(folder, os.stat(os.path.dirname(path)).st_uid, -1)  # noqa: PTH116, PTH120
    except BaseException:
        os.close(folder)
        raise
    return folder


def _remove_next(path: str) -> None:
    folder = path + _NEXT
    try:
        status = os.lstat(folder)
    except FileNotFoundError:
        return
    filesystem.check_planted(folder, status)
    if not stat.S_ISDIR(status.st_mode):  # earlier versions made a file
        Path(folder).unlink()
        return
    try:
        Path(folder).rmdir()  # an empty folder of root's, which cannot be opened
    except OSError:
        shutil.rmtree(folder)


def _created(folder: int, name: str, status: os.stat_result | None) -> int:
    """Create a file that only users who could read the old one can read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    descriptor = os.open(name, flags, _OURS_ALONE, dir_fd=folder)
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
    # The group has no right to read, so it hardly matters.
    with contextlib.suppress(OSError):
        os.fchown(descriptor, -1, status.st_gid)
