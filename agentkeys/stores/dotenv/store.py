"""A store that is one entry of a dotenv file. It needs the extra ``issue``."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from agentkeys import filesystem, home, locks, plain
from agentkeys.errors import ConfigurationError, InvalidArgumentError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores.contract import ANY, Expected, Found, Stored, Version
from agentkeys.stores.contract.checks import check_expected, check_secret, check_text
from agentkeys.stores.contract.threads import AtWork, Turn

try:
    import fcntl  # noqa: F401  # locks need it

    from agentkeys.stores.dotenv import editing
    from agentkeys.stores.files import git, replacing
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

    from agentkeys.stores.files.replacing import OnDisk, Prepared

    T = TypeVar("T")

__all__ = ["DotenvStore"]

logger: Final = logging.getLogger("agentkeys")

_turn: Final = Turn()
_looked_at: Final[set[str]] = set()
"""Files of which it is known whether to warn of them."""

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


class DotenvStore(AtWork):
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
        super().__init__()
        self.address = f"dotenv:{self._path}#{self._name}{ALLOW_TRACKED if allow_tracked else ''}"

    @property
    def path(self) -> str:
        """The file, as an absolute path."""
        return self._path

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

    async def look(self) -> Stored:
        """Return what `read` does, and leave what a killed writer has left for a sweep to see.

        Raises:
            StoreError: as `read` does.

        """
        return await self._in_thread("cannot read", self._look)

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

    async def write_noted(
        self, secret: Secret, *, expected: Expected = ANY, note: Callable[[Found], object]
    ) -> Version:
        """Set the entry, once it is noted which file stands there, and which one will."""
        check_secret(secret)
        return await self._in_thread(
            "cannot set", lambda stop: self._replace(secret, expected, stop, note)
        )

    async def is_as_found(self, found: Found) -> bool:
        """Return whether the file is the very one of the note, or the next one still beside it."""
        return await self._in_thread("cannot look at", lambda stop: self._is_as_found(found, stop))

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
            except locks.LockedError:
                reason = "another process is writing to it: try again"
            raise self._error(failed, reason)

        return await self._waited_for(in_words, timeout=_PATIENCE, store=self.describe())

    def _probe(self, stop: threading.Event) -> None:
        path = self._writable_path()
        self._warn_if_exposed(path)
        with replacing.locked(path, stop):
            found = replacing.read(path)
            self._stored(found)
            replacing.rehearse(path, len(found.text.reveal().encode()) + _ROOM, found.status)

    def _read(self, _: threading.Event) -> Stored:
        path = filesystem.resolved(self._path)
        replacing.tidy(path)
        return self._stored(replacing.read(path))

    def _look(self, _: threading.Event) -> Stored:
        return self._stored(replacing.read(filesystem.resolved(self._path)))

    def _replace(
        self,
        secret: Secret | None,
        expected: Expected,
        stop: threading.Event,
        note: Callable[[Found], object] | None = None,
    ) -> Version:
        path = self._writable_path()
        with replacing.locked(path, stop):
            found = replacing.read(path)
            check_expected(expected, self._stored(found).version, self.describe())
            text = self._edited(found, secret)
            if text != found.text or note is not None:
                if secret is not None:
                    self._warn_if_exposed(path)
                with replacing.prepared(path, text, found.status) as following:
                    self._check_read_back(following, secret)
                    if note is not None:
                        note(Found(path, replacing.marks(found.status, following)))
                    following.put(path)
        return Stored.of(secret).version

    def _is_as_found(self, found: Found, stop: threading.Event) -> bool:
        path = filesystem.resolved(self._path)
        # A writer that is still at work is waited for.
        with replacing.locked(path, stop):
            return replacing.is_untouched(path, found.state)

    def _edited(self, found: OnDisk, secret: Secret | None) -> Secret:
        if secret is None:
            return editing.without_entry(found.text, self._name)
        text = editing.with_entry(found.text, self._name, secret)
        if text is not None:
            return text
        raise self._error(
            "cannot set",
            "python-dotenv would read the file otherwise than it is meant (a line that is not"
            " closed, or a secret with '${' or a NUL): it was left as it is",
        )

    def _check_read_back(self, following: Prepared, secret: Secret | None) -> None:
        """Read a file before it is put in its place, as a program does that uses python-dotenv."""
        with following.opened() as file:
            found = editing.values_in(file, self._name)
        if found != ([] if secret is None else [secret]):
            raise self._error(
                "cannot set",
                "python-dotenv reads something else than what was written: the file was left as it"
                " is. Install the newest python-dotenv",
            )

    def _stored(self, found: OnDisk) -> Stored:
        values = editing.values(found.text, self._name)
        if len(values) > 1:
            raise self._error("cannot use", "the name stands there more than once: leave one")
        return Stored.of(values[0] if values else None)

    def _writable_path(self) -> str:
        path = filesystem.resolved(self._path)
        if not self._allow_tracked:
            temporary = replacing.next_of(path)
            itself, beside = git.tracked(path, temporary)
            self._check_untracked(itself, "it")
            self._check_untracked(beside, temporary)
        replacing.check_replaceable(path)
        return path

    def _check_untracked(self, found: git.Tracking, which: str) -> None:
        if isinstance(found, git.CouldNotLook):
            objection = f"git could not say whether it tracks {which}: {found.reason}. Or"
        elif found is git.Tracked.YES:
            objection = f"git tracks {which}, so the secret would end up in a commit:"
        else:
            return
        raise self._error("cannot keep a secret in", f"{objection} {_ALLOW}")

    def _warn_if_exposed(self, path: str) -> None:
        """Warn, once in a process, of a file that nothing keeps out of the next commit."""
        with _turn.lock:
            if self._allow_tracked or path in _looked_at:
                return
            _looked_at.add(path)
        if git.is_exposed(path):
            logger.warning(
                "git neither tracks nor ignores %r, so the secret in it would end up in a commit"
                " after `git add .`: add a line %r to .gitignore",
                path,
                os.path.basename(path),  # noqa: PTH119
            )

    def _error(self, failed: str, reason: str) -> StoreError:
        return StoreError(f"{failed} {self.describe()}: {reason}", store=self.describe())


_ALLOW: Final = f"use a file that .gitignore names; allow_tracked=True ({ALLOW_TRACKED}) permits it"


def _reason(error: OSError) -> str:
    if isinstance(error, filesystem.RefusedError):
        return str(error)
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


def _absolute(path: str | os.PathLike[str]) -> str:
    text = check_text("the path", os.fspath(path) if isinstance(path, os.PathLike) else path)
    return os.path.abspath(home.expanded(text))  # noqa: PTH100


def _checked_name(name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(plain.text(name)):
        return plain.text(name)
    raise InvalidArgumentError(
        "the name of a dotenv entry must be that of an environment variable:"
        " letters, digits and _, and no digit first"
    )
