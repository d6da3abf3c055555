"""A file of secrets, read and replaced as a whole: never half, never looser, never lost.

Nothing here binds what the file holds to a name in a frame that can raise.
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

# Beside the file: the lock of the one who writes, and the folder of the next content while it is
# written. Their names are fixed, so that whoever comes next finds and removes what a killed process
# has left.
_LOCK: Final = ".agentkeys-lock"
_NEXT: Final = ".agentkeys-next"
_OURS_ALONE: Final = 0o600


@attrs.frozen
class OnDisk:
    """A file as it was found: its text, empty if there is no file, and its status."""

    text: Secret
    status: os.stat_result | None


def read(path: str, most: int | None = None) -> OnDisk:
    """Read a file, which need not be there, but its folder must. It is given without links.

    Args:
        path: the file.
        most: the bytes that it may have.

    """
    try:
        descriptor = filesystem.opened(path, follow=False)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120
            raise  # e.g. a disk that is not mounted: it may be there all the same
        return OnDisk(Secret(""), None)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a Path cannot open a descriptor
        status = os.fstat(descriptor)
        filesystem.check_planted(path, status)
        text = _text(file, most)
    if isinstance(text, OSError):
        raise text
    return OnDisk(text, status)


def _text(file: BinaryIO, most: int | None) -> Secret | OSError:
    """Return the text of a file, or why it has none: a frame with bytes of it raises nothing."""
    data = file.read(-1 if most is None else most + 1)
    if most is not None and len(data) > most:
        return OSError(errno.EFBIG, f"it is larger than {most} bytes")
    try:
        return Secret(data.decode())
    except UnicodeDecodeError:  # it holds what it could not decode
        return OSError(errno.EILSEQ, "it is not UTF-8")


def check_replaceable(path: str) -> None:
    """Raise `OSError` if the system lets nobody replace a file, before anything is done to it."""
    if _is_of_kubernetes(path):
        raise filesystem.RefusedError(
            "Kubernetes mounts it, and would undo the change: write the Secret itself, for example"
            " with kubernetes:NAMESPACE/SECRET#KEY"
        )
    if filesystem.is_mounted(path):
        raise OSError(errno.EBUSY, "it is mounted by itself")
    folder = os.path.dirname(path)  # noqa: PTH120
    for each in (folder, path) if os.path.lexists(path) else (folder,):
        if filesystem.is_protected(each):
            raise filesystem.RefusedError(
                f"{each} is protected (chattr +i or +a): run chattr -i -a {shlex.quote(each)}"
            )


@attrs.frozen
class Prepared:
    """A file that is about to take the place of another.

    Args:
        folder: the descriptor of its folder, which nobody can exchange for another.
        name: its name in it.
        status: its status; it keeps its device and inode when it is put in its place.

    """

    folder: int
    name: str
    status: os.stat_result

    def read(self) -> Secret:
        """Read it as a program does."""
        descriptor = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self.folder)
        with open(descriptor, encoding="utf-8", newline="") as file:  # noqa: PTH123
            return Secret(file.read())

    def put(self, path: str) -> None:
        """Put it in its place, for good."""
        os.replace(self.name, path, src_dir_fd=self.folder)
        filesystem.sync_folder(os.path.dirname(path))  # noqa: PTH120


@contextlib.contextmanager
def prepared(path: str, text: Secret, status: os.stat_result | None) -> Iterator[Prepared]:
    """Write what is to take the place of a file, beside it; the lock must be held.

    If it is not put in its place, it is removed.
    """
    with _next(path) as folder:
        yield _written(folder, path, text, status, sync=True)


def rehearse(path: str, size: int, status: os.stat_result | None) -> None:
    """Prepare a file with *size* bytes that are no secret, and do not put it in its place."""
    filler = Secret("#" * size)
    with _next(path) as folder:
        if _written(folder, path, filler, status, sync=False).read() != filler:
            raise OSError(errno.EIO, "what was written is not what is read")


def remove(path: str) -> None:
    """Remove a file for good; the lock must be held. It need not be there."""
    _remove_next(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
        filesystem.sync_folder(os.path.dirname(path))  # noqa: PTH120


def next_of(path: str) -> str:
    """Return where the next content of a file is written.

    It has the file's own name, so that a pattern of a .gitignore that names the file names it too:
    ``.env`` and ``*.env`` do, and ``.env*`` and ``.env.*`` name the folder.
    """
    return os.path.join(path + _NEXT, os.path.basename(path))  # noqa: PTH118, PTH119


def locked(path: str, stop: threading.Event) -> contextlib.AbstractContextManager[None]:
    """Be the only one who writes a file, among all processes and threads that ask for it."""
    return locks.locked(path + _LOCK, stop)


def marks(status: os.stat_result | None, following: Prepared) -> str:
    """Return what tells a file, and the prepared one, from all that will be at their paths."""
    return f"{_mark(status)} {_mark(following.status)}"


def is_untouched(path: str, noted: str) -> bool:
    """Return whether a prepared file was never put in its place; the lock must be held.

    Args:
        path: the file.
        noted: the `marks` of before.

    """
    before, _, prepared = noted.partition(" ")
    # That there is no file, as there was none before, proves nothing: it may have been renamed.
    return _mark_at(path) == before or _mark_at(next_of(path)) == prepared


def tidy(path: str) -> None:
    """Remove what a killed writer has left, if there is anything and no other is at work."""
    if os.path.lexists(path + _NEXT):
        with contextlib.suppress(OSError):
            descriptor = locks.try_hold(path + _LOCK)
            if descriptor is not None:
                try:
                    _remove_next(path)
                finally:
                    locks.drop(path + _LOCK, descriptor)


def _is_of_kubernetes(path: str) -> bool:
    """Return whether a file is in a volume that is exchanged as a whole, by the link ``..data``."""
    return any(os.path.islink(folder / "..data") for folder in Path(path).parents)  # noqa: PTH114


def _mark(status: os.stat_result | None) -> str:
    # The inode's number alone is soon another file's. A change of any kind is another mark.
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
    """Make and open a folder for ourselves alone, which git ignores whatever its rules are."""
    os.mkdir(path, 0o700)  # noqa: PTH102
    if os.geteuid() != 0:  # whatever the umask is; root needs no mode, and must follow no link
        os.chmod(path, 0o700)  # noqa: PTH101
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(folder, 0o700)
        with open(_created(folder, ".gitignore", None), "wb") as file:
            file.write(b"*\n")
        if os.geteuid() == 0:  # or what root leaves, if it is killed, its owner could not remove
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
    if not stat.S_ISDIR(status.st_mode):  # as versions before this one had it
        Path(folder).unlink()
        return
    try:
        Path(folder).rmdir()  # an empty one may be root's, and closed
    except OSError:
        shutil.rmtree(folder)


def _created(folder: int, name: str, status: os.stat_result | None) -> int:
    """Create a file that nobody can read who could not read the one before."""
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
    # The group may read nothing, so it does not matter much.
    with contextlib.suppress(OSError):
        os.fchown(descriptor, -1, status.st_gid)
