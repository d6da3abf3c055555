"""Files and folders of the journal: only this user owns them, and their size is limited.

Another user, root or a backup may have put a file into the folder. A file decides which key is
deleted, so only files that this user alone can have written are read.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from agentkeys import filesystem
from agentkeys.filesystem import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["append", "check_folder", "is_part", "make_own_folder", "names", "read"]

_LARGEST: Final = 1 << 20
"""The largest size of a file in bytes; no entry is that long."""
_PART: Final = re.compile("[0-9a-f]{2}")


def read(descriptor: int) -> bytes:
    """Return the content of a file.

    Raises:
        RefusedError: the file is too long.
    """
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise RefusedError(f"it is longer than {_LARGEST >> 20} MiB")
    return text


def append(descriptor: int, line: bytes) -> None:
    """Append a line; it is durable when this returns."""
    _cut_torn_line(descriptor)
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _cut_torn_line(descriptor: int) -> None:
    """Remove an incomplete last line, from a process that died or a disk that was full."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size:
        os.lseek(descriptor, size - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            os.ftruncate(descriptor, read(descriptor).rfind(b"\n") + 1)


def is_part(name: str) -> bool:
    """Whether a folder of that name is a part of the folder that it lies in."""
    return _PART.fullmatch(name) is not None


def check_folder(path: Path) -> None:
    """Check that a folder and its parent are this user's alone; the parent may be a link.

    The folder of a part is checked in the same way.

    Raises:
        FileNotFoundError: one of them does not exist.
        RefusedError: one of them belongs to another user, or its status cannot be read.
    """
    if is_part(path.name):
        check_folder(path.parent)
    for folder, may_be_link in ((path.parent, True), (path, False)):
        try:
            why = filesystem.folder_objection(folder, may_be_link=may_be_link)
        except FileNotFoundError:
            if os.path.lexists(folder):
                raise RefusedError(f"{folder} is a link without a target") from None
            raise
        except OSError as error:
            why = error.strerror or type(error).__name__
        if why:
            raise RefusedError(why if folder == path else f"{folder}: {why}")


def make_own_folder(path: Path) -> None:
    """Create a folder, unless it exists, and check it; see `check_folder`."""
    if is_part(path.name):  # first, so that no part is made in a folder of somebody else
        make_own_folder(path.parent)
    _make_folder(path)
    check_folder(path)


def _make_folder(path: Path) -> None:
    """Create a folder and its missing parents, durably."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        filesystem.sync_folder(path.parent)


def names(folder: Path) -> Iterator[str]:
    """Yield what a folder holds, name by name; nothing if there is no folder.

    Raises:
        RefusedError: the folder is not this user's alone, or cannot be listed.
    """
    try:
        check_folder(folder)
        with os.scandir(folder) as found:  # Path.glob skips what it cannot read
            for each in found:
                yield each.name
    except FileNotFoundError:
        return
    except RefusedError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return
    raise RefusedError(f"it cannot be listed: {reason}")
