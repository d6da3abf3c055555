"""Whether the files of a database are this user's alone, and still the same.

The database holds the secret from which all others are derived, so a file that somebody else made,
can change or can read is not used. Nothing here opens a file: to close one again would take the
locks away that SQLite holds on it in this process (fcntl(2)).
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

# While a database is open; and while one is made, or is not ours.
_LOG: Final = ("-wal", "-shm")
_JOURNAL: Final = ("-journal",)


def check_owned(file: Path) -> None:
    """See that *file*, and what SQLite keeps beside it, are this user's alone, if they are there.

    Raises:
        ConfigurationError: one of them belongs to another user, is a link or no file at all, or can
            be read or written by others; or others can write in the folder.
        OSError, ValueError: one of them cannot be looked at.
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
    """The files of a database that is open, to notice that they were deleted or replaced.

    SQLite would go on to write to a file that nobody can reach any more.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        # As text: a Path takes longer to look at, and this is done for each transaction.
        found = {str(path): _identity(str(path)) for path in (file, *_beside(file, *_LOG))}
        self._identities = {path: known for path, known in found.items() if known is not None}

    def check(self) -> None:
        """See that they are the same as when this object was made.

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
            f"the folder {folder} belongs to another user, who could exchange the database in it:"
            " choose a folder of your own"
        )
    is_group_another = found.st_gid != os.getegid()
    writers = stat.S_IWOTH | (stat.S_IWGRP if is_group_another else 0)
    if found.st_mode & writers and not found.st_mode & stat.S_ISVTX:
        raise ConfigurationError(
            f"others can write in the folder {folder}, and could exchange the database in it:"
            f" choose another folder, or type chmod go-w {_quoted(folder)}"
        )


def _check_file(file: Path, found: os.stat_result) -> None:
    why = file_objection(found, forbidden=stat.S_IRWXG | stat.S_IRWXO)
    if why is not None:
        raise ConfigurationError(f"the database {file} {_REFUSALS[why].format(_quoted(file))}")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


_REFUSALS: Final = {
    Objection.LINK: "is a link: name the file that it leads to",
    Objection.NOT_A_FILE: "is not a file: choose another name",
    Objection.ANOTHERS: "belongs to another user: choose a file of your own",
    Objection.SECOND_NAME: (
        "has a second name (a hard link), by which others may reach it: copy it to a new file"
    ),
    Objection.OPEN: "can be read or written by other users: type chmod 600 {}",
}
