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

from agentkeys import filesystem
from agentkeys.secret import Secret

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

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


def read(path: str) -> OnDisk:
    """Read a file, which need not be there, but its folder must. It is given without links."""
    try:
        descriptor = filesystem.opened(path, follow=False)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):  # noqa: PTH112, PTH120
            raise  # e.g. a disk that is not mounted: it may be there all the same
        return OnDisk(Secret(""), None)
    with open(descriptor, "rb") as file:  # noqa: PTH123  # a Path cannot open a descriptor
        status = os.fstat(descriptor)
        filesystem.check_planted(path, status)
        with contextlib.suppress(UnicodeDecodeError):  # it holds what it could not decode
            return OnDisk(Secret(file.read().decode()), status)
    raise OSError(errno.EILSEQ, "it is not UTF-8")


def check_replaceable(path: str) -> None:
    """Raise `OSError` if the system lets nobody replace a file, before anything is done to it."""
    if filesystem.is_mounted(path):
        raise OSError(errno.EBUSY, "it is mounted by itself")
    folder = os.path.dirname(path)  # noqa: PTH120
    for each in (folder, path) if os.path.lexists(path) else (folder,):
        if filesystem.is_protected(each):
            raise filesystem.RefusedError(
                f"{each} is protected (chattr +i or +a): run chattr -i -a {shlex.quote(each)}"
            )


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
    filesystem.sync_folder(os.path.dirname(path))  # noqa: PTH120


def rehearse(path: str, size: int, status: os.stat_result | None) -> None:
    """Prepare a file with *size* bytes that are no secret, and do not put it there."""
    filler = b"#" * size
    with _next(path) as temporary:
        with open(_created(temporary, status), "wb") as file:
            file.write(filler)
        if Path(temporary).read_bytes() != filler:
            raise OSError(errno.EIO, "what was written is not what is read")


def next_of(path: str) -> str:
    """Return where the next content of a file is written.

    It has the file's own name, so that a pattern of a .gitignore that names the file names it too:
    ``.env`` and ``*.env`` do, and ``.env*`` and ``.env.*`` name the folder.
    """
    return os.path.join(path + _NEXT, os.path.basename(path))  # noqa: PTH118, PTH119


def locked(path: str, stop: threading.Event) -> contextlib.AbstractContextManager[None]:
    """Be the only one who writes a file, among all processes and threads that ask for it."""
    return filesystem.locked(path + _LOCK, stop)


def tidy(path: str) -> None:
    """Remove what a killed writer has left, if there is anything and no other is at work."""
    if os.path.lexists(path + _NEXT):
        with contextlib.suppress(OSError):
            descriptor = filesystem.try_lock(path + _LOCK)
            if descriptor is not None:
                try:
                    _remove_next(path)
                finally:
                    filesystem.unlock(path + _LOCK, descriptor)


@contextlib.contextmanager
def _next(path: str) -> Iterator[str]:
    _remove_next(path)
    try:
        _make_folder(path + _NEXT)
        yield next_of(path)
    finally:
        _remove_next(path)


def _make_folder(path: str) -> None:
    """Make a folder for ourselves alone, which git ignores whatever the repository's rules are."""
    folder = Path(path)
    folder.mkdir(mode=0o700)
    folder.chmod(0o700)  # whatever the umask is
    if os.geteuid() == 0:  # or what root leaves, if it is killed, its owner could not remove
        os.chown(path, folder.parent.stat().st_uid, -1)
    (folder / ".gitignore").write_text("*\n")


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
