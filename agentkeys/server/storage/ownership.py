"""Check that the files of a database are this user's alone, and still the same.

The database holds the secret from which all others are derived, so a file that another user
created, can change or can read is not used. Nothing here opens a file: closing it would release the
locks that SQLite holds on it in this process (fcntl(2)).
"""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING, Final

from agentkeys.errors import ConfigurationError
from agentkeys.filesystem import Objection, file_objection

if TYPE_CHECKING:
    from pathlib import Path

# The files of an open database; and those while it is created, or belongs to another program.
_LOG: Final = ("-wal", "-shm")
_JOURNAL: Final = ("-journal",)


def check_owned(file: Path) -> None:
    """Check that *file*, and SQLite's files beside it, are this user's alone, if they exist.

    Raises:
        ConfigurationError: one of them belongs to another user, is a link or not a file, or others
            can read or write it; or others can write in the folder.
        OSError, ValueError: the status of one of them cannot be read.
    """
    if os.name == "posix":
        _check_folder(file.parent)
    for each in (file, *_beside(file, *_LOG, *_JOURNAL)):
        try:
            found = each.lstat()
        except FileNotFoundError:
            continue
        _check_file(each, found)


class Files:
    """The files of an open database, to notice that they were deleted or replaced.

    SQLite would continue to write to a file that no longer has a name.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        # As a str: a Path is slower to check, and this is done for each transaction.
        found = {str(path): _identity(str(path)) for path in (file, *_beside(file, *_LOG))}
        self._identities = {path: known for path, known in found.items() if known is not None}

    def check(self) -> None:
        """Check that they are the same as when this object was made.

        Raises:
            ConfigurationError: they are not.
        """
        for path, known in self._identities.items():
            if _identity(path) != known:
                raise ConfigurationError(
                    f"{path} was deleted, moved or replaced while the service had the database"
                    f" {self._file} open: stop the service, put the file back, and start it again"
                )


def _beside(file: Path, *suffixes: str) -> list[Path]:
    return [file.with_name(file.name + suffix) for suffix in suffixes]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_folder(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid not in {0, os.geteuid()}:
        raise ConfigurationError(
            f"the folder {folder} belongs to another user, who could replace the database in it:"
            " choose a folder of your own"
        )
    is_group_another = found.st_gid != os.getegid()
    writers = stat.S_IWOTH | (stat.S_IWGRP if is_group_another else 0)
    if found.st_mode & writers and not found.st_mode & stat.S_ISVTX:
        raise ConfigurationError(
            f"others can write in the folder {folder}, and could replace the database in it:"
            f" choose another folder, or run chmod go-w {_quoted(folder)}"
        )


def _check_file(file: Path, found: os.stat_result) -> None:
    why = file_objection(found, forbidden=stat.S_IRWXG | stat.S_IRWXO)
    if why is not None:
        raise ConfigurationError(f"the database {file} {_REFUSALS[why].format(_quoted(file))}")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


_REFUSALS: Final = {
    Objection.LINK: "is a link: name its target",
    Objection.NOT_A_FILE: "is not a file: choose another name",
    Objection.ANOTHERS: "belongs to another user: choose a file of your own",
    Objection.SECOND_NAME: (
        "has a second name (a hard link), by which others may reach it: copy it to a new file"
    ),
    Objection.OPEN: "can be read or written by other users: run chmod 600 {}",
}
