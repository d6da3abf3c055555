"""Files and folders of state: they are ours, of a bounded size, and of nobody's making else.

What lies in the folder may have been put there by another user, by root, or by a backup. A file
decides what is deleted, so only one is read that this user alone can have written.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from agentkeys import filesystem
from agentkeys.filesystem import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["append", "check_folder", "make_folder", "names", "read"]

_LARGEST: Final = 1 << 20
"""Bytes: more than any entry has."""


def read(descriptor: int) -> bytes:
    """Return what a file holds.

    Raises:
        RefusedError: it has grown beyond all bounds.

    """
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise RefusedError(f"it is longer than {_LARGEST >> 20} MiB")
    return text


def append(descriptor: int, line: bytes) -> None:
    """Add a line, which is durable when this returns."""
    _cut_torn_line(descriptor)
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _cut_torn_line(descriptor: int) -> None:
    """Of a process that died, or on a disk that was full, the last line may be a part of one."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size:
        os.lseek(descriptor, size - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            os.ftruncate(descriptor, read(descriptor).rfind(b"\n") + 1)


def check_folder(path: Path) -> None:
    """See that a folder and the one above it, which may be a link of this user's, are ours alone.

    Raises:
        FileNotFoundError: one is not there.
        RefusedError: one is somebody else's, or cannot be looked at.

    """
    for folder, may_be_link in ((path.parent, True), (path, False)):
        try:
            why = filesystem.folder_objection(folder, may_be_link=may_be_link)
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
        filesystem.sync_folder(path.parent)


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
    except RefusedError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return [folder / name for name in sorted(found) if name.endswith(suffix)]
    raise RefusedError(f"it cannot be listed: {reason}")
