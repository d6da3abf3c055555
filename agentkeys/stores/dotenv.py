"""A store that is one entry of a dotenv file. It needs the extra ``issue``."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Final, TypeVar

from agentkeys.errors import ConfigurationError, InvalidArgumentError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores import git
from agentkeys.stores.contract import (
    ANY,
    Expected,
    Stored,
    Version,
    check_expected,
    check_secret,
    check_text,
)
from agentkeys.stores.threads import in_thread

try:
    from agentkeys.stores import dotenv_file, dotenv_text
except ModuleNotFoundError as missing:
    if missing.name == "fcntl":
        raise ConfigurationError("the dotenv store needs Linux, macOS or another POSIX") from None
    if missing.name != "dotenv":
        raise
    raise ConfigurationError(
        "the dotenv store needs python-dotenv: pip install 'agentkeys-sdk[issue]'"
    ) from None

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from agentkeys.stores.dotenv_file import OnDisk

    T = TypeVar("T")

__all__ = ["DotenvStore"]

ALLOW_TRACKED: Final = "?allow_tracked"
"""What an address ends in whose file may be tracked by git."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PATIENCE: Final = 30.0
"""Seconds to wait for other writers and for the disk."""
# More than an entry takes beyond what stands in the file already.
_ROOM: Final = 4096
_REASONS: Final = {
    errno.ENOENT: "its folder is not there: make it, or give another path",
    errno.ENOTDIR: "its path leads through a file: give another path",
    errno.ENOSPC: "the disk is full: make room on it",
    errno.EDQUOT: "your quota of the disk is used up: make room on it",
    errno.EROFS: "the disk is read-only: give another path",
    errno.EACCES: "permission was denied: give yourself the right to write to it and its folder",
    errno.EPERM: "it is somebody else's, or protected: give another path",
    errno.EBUSY: "it is mounted by itself: mount its folder instead",
}


class DotenvStore:
    """A secret that is one entry of a dotenv file, for programs that use python-dotenv.

    All other entries, comments, the order, quotes and line ends stay as they are. A symbolic link
    is followed. The file is replaced at once and for good, and is readable for its owner alone from
    then on, if it was not already. Stores of other processes and threads wait for each other.

    An entry without a value counts as none, so that ``NAME=`` can stand there from the start.

    Args:
        path: the file. It need not be there, but its folder must. ``~`` is the home directory.
        name: the entry: the name of an environment variable.
        allow_tracked: permit a file that git tracks, which is refused otherwise.

    Raises:
        ConfigurationError: the extra ``issue`` is not installed.
        InvalidArgumentError: *path* or *name* cannot be right.

    """

    readable = True

    def __init__(
        self, path: str | os.PathLike[str], name: str, *, allow_tracked: bool = False
    ) -> None:
        self._path = _absolute(path)
        self._name = _checked_name(name)
        self._allow_tracked = allow_tracked
        self.address = f"dotenv:{self._path}#{name}{ALLOW_TRACKED if allow_tracked else ''}"

    async def probe(self) -> None:
        """Write as much as there would be beside the file, read it back, and remove it.

        Raises:
            StoreError: the file cannot be replaced, git tracks it, or the entry stands there twice.

        """
        await self._in_thread("cannot keep a secret in", self._probe)

    async def read(self) -> Stored:
        """Return what the entry holds, as python-dotenv reads it without filling in ``${...}``.

        Raises:
            StoreError: the file cannot be read, or the entry stands there twice.

        """
        return await self._in_thread("cannot read", self._read)

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Set the entry; see `Store.write`.

        Raises:
            StoreError: the file cannot be replaced, git tracks it, the entry stands there twice,
                or the secret cannot be written so that python-dotenv would read it.

        """
        check_secret(secret)
        return await self._in_thread(
            "cannot set", lambda stop: self._replace(secret, expected, stop)
        )

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the entry; see `Store.remove`."""
        await self._in_thread("cannot remove", lambda stop: self._replace(None, expected, stop))

    def describe(self) -> str:
        """Return where the secret lies."""
        return f"{self._name} in {self._path}"

    def __repr__(self) -> str:
        allowed = ", allow_tracked=True" if self._allow_tracked else ""
        return f"DotenvStore({self._path!r}, {self._name!r}{allowed})"

    async def _in_thread(self, failed: str, work: Callable[[threading.Event], T]) -> T:
        def in_words(stop: threading.Event) -> T:
            try:
                return work(stop)
            except OSError as error:
                reason = _reason(error)
            except dotenv_file.LockedError:
                reason = "another process is writing to it: try again"
            raise self._error(failed, reason)

        return await in_thread(in_words, timeout=_PATIENCE, store=self.describe())

    def _probe(self, stop: threading.Event) -> None:
        path = self._writable_path()
        with dotenv_file.locked(path, stop):
            found = dotenv_file.read(path)
            self._stored(found)
            dotenv_file.rehearse(path, len(found.text.reveal().encode()) + _ROOM, found.status)

    def _read(self, _: threading.Event) -> Stored:
        path = os.path.realpath(self._path)
        dotenv_file.tidy(path)
        return self._stored(dotenv_file.read(path))

    def _replace(self, secret: Secret | None, expected: Expected, stop: threading.Event) -> Version:
        path = self._writable_path()
        with dotenv_file.locked(path, stop):
            found = dotenv_file.read(path)
            check_expected(expected, self._stored(found).version, self.describe())
            text = self._edited(found, secret)
            if text != found.text:
                dotenv_file.replace(path, text, found.status)
                self._check_kept(path, secret)
        return Stored.of(secret).version

    def _edited(self, found: OnDisk, secret: Secret | None) -> Secret:
        if secret is None:
            return dotenv_text.without_entry(found.text, self._name)
        text = dotenv_text.with_entry(found.text, self._name, secret)
        if text is not None:
            return text
        raise self._error(
            "cannot set",
            "python-dotenv would read the file otherwise than it is meant (a line that is not"
            " closed, or a secret with '${' or a NUL): it was left as it is",
        )

    def _check_kept(self, path: str, secret: Secret | None) -> None:
        if self._stored(dotenv_file.read(path)).secret != secret:
            raise self._error("cannot set", "something else than what was written is read back")

    def _stored(self, found: OnDisk) -> Stored:
        values = dotenv_text.values(found.text, self._name)
        if len(values) > 1:
            raise self._error("cannot use", "the name stands there more than once: leave one")
        return Stored.of(values[0] if values else None)

    def _writable_path(self) -> str:
        path = os.path.realpath(self._path)
        objection = None if self._allow_tracked else git.objection(path)
        if objection:
            raise self._error("cannot keep a secret in", f"{objection}: {_ALLOW}")
        return path

    def _error(self, failed: str, reason: str) -> StoreError:
        return StoreError(f"{failed} {self.describe()}: {reason}", store=self.describe())


_ALLOW: Final = f"use a file that .gitignore names; allow_tracked=True ({ALLOW_TRACKED}) permits it"


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


def _absolute(path: str | os.PathLike[str]) -> str:
    text = check_text("the path", os.fspath(path) if isinstance(path, os.PathLike) else path)
    return os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111


def _checked_name(name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidArgumentError(
        "the name of a dotenv entry must be that of an environment variable:"
        " letters, digits and _, and no digit first"
    )
