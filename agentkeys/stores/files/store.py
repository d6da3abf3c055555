"""The base class of stores in files: read, replace and recognize the file, and refuse bad ones.

A frame that raises holds the file's text only in a `Secret`.
"""

from __future__ import annotations

import abc
import errno
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from agentkeys import filesystem, home, locks
from agentkeys.errors import ConfigurationError, StoreError
from agentkeys.secret import Secret
from agentkeys.stores.contract import ANY, Expected, Found, Stored, Version
from agentkeys.stores.contract.checks import check_expected, check_secret, check_text
from agentkeys.stores.contract.threads import AtWork, Turn
from agentkeys.stores.files import git, replacing

try:
    import fcntl  # noqa: F401  # locks need it
except ModuleNotFoundError:
    raise ConfigurationError("a store in a file needs Linux, macOS or another POSIX") from None

if TYPE_CHECKING:
    import threading

    from agentkeys.stores.files.replacing import OnDisk, Prepared

    T = TypeVar("T")

__all__ = ["ALLOW_TRACKED", "StoreInFile"]

logger: Final = logging.getLogger("agentkeys")

_turn: Final = Turn()
_looked_at: Final[set[str]] = set()
"""The files that were checked for a warning."""

ALLOW_TRACKED: Final = "?allow_tracked"
"""The end of an address whose file git may track."""

_PATIENCE: Final = 30.0
"""Seconds to wait for other writers and for the disk."""
# More than a secret adds to the content of the file.
_ROOM: Final = 4096
_ALLOW: Final = f"use a file that .gitignore names; allow_tracked=True ({ALLOW_TRACKED}) allows it"
_REASONS: Final = {
    errno.ENOENT: "its folder does not exist: create it, or use another path",
    errno.ENOTDIR: "a part of its path is a file: use another path",
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your disk quota is used up: free some space",
    errno.EROFS: "the disk is read-only: use another path, or mount it writable",
    errno.EACCES: "permission was denied: allow access to it and to its folder",
    errno.EPERM: "it belongs to another user, or is protected: use another path",
    errno.EBUSY: "it is a mount point: mount its folder instead",
}


class StoreInFile(AtWork, abc.ABC):
    """A store whose secret is in a file, which is replaced as a whole.

    A subclass sets `address`, implements `describe`, and defines the file's content: `_secret_in`,
    `_text_with` and `_text_without`.
    """

    readable = True
    atomic = True
    address: str

    _most: ClassVar[int | None] = None
    """The largest size of the file in bytes; None for no limit."""

    def __init__(self, path: str | os.PathLike[str], *, allow_tracked: bool) -> None:
        self._path = _absolute(path)
        self._allow_tracked = allow_tracked
        super().__init__()

    @property
    def path(self) -> str:
        """The file, as an absolute path."""
        return self._path

    @abc.abstractmethod
    def describe(self) -> str:
        """Return the place of the secret."""

    @abc.abstractmethod
    def _secret_in(self, text: Secret) -> Secret | None:
        """Return the secret in a file's text, which is empty if there is no file."""

    @abc.abstractmethod
    def _text_with(self, text: Secret, secret: Secret) -> Secret:
        """Return the new text of the file, or raise `StoreError` if it cannot hold the secret."""

    @abc.abstractmethod
    def _text_without(self, text: Secret) -> Secret | None:
        """Return the new text of the file without the secret; None to remove the file."""

    async def probe(self) -> None:
        """Write as many bytes beside the file as a secret needs, read them back, and remove them.

        Raises:
            StoreError: the file cannot be replaced or read, or git tracks it.
        """
        await self._in_thread("cannot keep a secret in", self._probe)

    async def read(self) -> Stored:
        """Return the content of the store.

        Raises:
            StoreError: the file cannot be read.
        """
        return await self._in_thread("cannot read", self._read)

    async def look(self) -> Stored:
        """Return the content as `read` does, but keep the leftovers of a killed writer for a sweep.

        Raises:
            StoreError: as from `read`.
        """
        return await self._in_thread("cannot read", self._look)

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Store *secret*; see `Store.write`.

        Raises:
            StoreError: the file cannot be replaced or read, git tracks it, or the file cannot hold
                this secret.
        """
        check_secret(secret)
        return await self._in_thread(
            "cannot write", lambda stop: self._replace(secret, expected, stop)
        )

    async def write_noted(
        self, secret: Secret, *, expected: Expected = ANY, note: Callable[[Found], object]
    ) -> Version:
        """Store *secret*, after *note* has the marks of the old file and of the new one."""
        check_secret(secret)
        return await self._in_thread(
            "cannot write", lambda stop: self._replace(secret, expected, stop, note)
        )

    async def is_as_found(self, found: Found) -> bool:
        """Return whether the file is exactly the noted one, or the new one is still beside it."""
        return await self._in_thread("cannot read", lambda stop: self._is_as_found(found, stop))

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the secret; see `Store.remove`."""
        await self._in_thread("cannot remove", lambda stop: self._replace(None, expected, stop))

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
            found = self._found(path)
            self._stored(found)
            replacing.rehearse(path, len(found.text.reveal().encode()) + _ROOM, found.status)

    def _read(self, _: threading.Event) -> Stored:
        path = filesystem.resolved(self._path)
        replacing.tidy(path)
        return self._stored(self._found(path))

    def _look(self, _: threading.Event) -> Stored:
        return self._stored(self._found(filesystem.resolved(self._path)))

    def _replace(
        self,
        secret: Secret | None,
        expected: Expected,
        stop: threading.Event,
        note: Callable[[Found], object] | None = None,
    ) -> Version:
        path = self._writable_path()
        with replacing.locked(path, stop):
            found = self._found(path)
            check_expected(expected, self._stored(found).version, self.describe())
            text = self._next_text(found.text, secret)
            if text is None:
                replacing.remove(path)
            elif text != found.text or note is not None:
                if secret is not None:
                    self._warn_if_exposed(path)
                with replacing.prepared(path, text, found.status) as following:
                    self._check_read_back(following, secret)
                    if note is not None:
                        note(Found(path, replacing.marks(found.status, following)))
                    following.put(path)
        return Stored.of(secret).version

    def _next_text(self, text: Secret, secret: Secret | None) -> Secret | None:
        return self._text_without(text) if secret is None else self._text_with(text, secret)

    def _is_as_found(self, found: Found, stop: threading.Event) -> bool:
        path = filesystem.resolved(self._path)
        # Wait for a writer that is still at work.
        with replacing.locked(path, stop):
            return replacing.is_untouched(path, found.state)

    def _found(self, path: str) -> OnDisk:
        return replacing.read(path, self._most)

    def _stored(self, found: OnDisk) -> Stored:
        return Stored.of(self._secret_in(found.text))

    def _check_read_back(self, following: Prepared, secret: Secret | None) -> None:
        """Read the new file before it is put in place, as a program that uses it would."""
        if self._secret_in(following.read()) != secret:
            raise self._error(
                "cannot write", "the new file would not return the secret: it was not changed"
            )

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
            objection = f"it is not known whether git tracks {which}: {found.reason}. Or"
        elif found is git.Tracked.YES:
            objection = f"git tracks {which}, so a commit would contain the secret:"
        else:
            return
        raise self._error("cannot keep a secret in", f"{objection} {_ALLOW}")

    def _warn_if_exposed(self, path: str) -> None:
        """Warn once in a process about a file that the next commit may contain."""
        with _turn.lock:
            if self._allow_tracked or path in _looked_at:
                return
            _looked_at.add(path)
        if git.is_exposed(path):
            logger.warning(
                "git neither tracks nor ignores %r, so a commit would contain its secret"
                " after `git add .`: add a line %r to .gitignore",
                path,
                os.path.basename(path),  # noqa: PTH119
            )

    def _error(self, failed: str, reason: str) -> StoreError:
        return StoreError(f"{failed} {self.describe()}: {reason}", store=self.describe())


def _reason(error: OSError) -> str:
    if isinstance(error, filesystem.RefusedError):
        return str(error)
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


def _absolute(path: str | os.PathLike[str]) -> str:
    text = check_text("the path", os.fspath(path) if isinstance(path, os.PathLike) else path)
    return os.path.abspath(home.expanded(text))  # noqa: PTH100
