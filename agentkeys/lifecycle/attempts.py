"""Attempts to issue a key, each a file, so that what a dead process left is found.

A file has a line for each step, which is on the disk before the step is taken: the first before the
request is sent, the second before the store is written. It holds no secret. Its owner keeps it
locked for as long as he lives, and removes it when nothing is left to be done.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
from cattrs.preconf.json import make_converter

from agentkeys import forks
from agentkeys.errors import ConfigurationError
from agentkeys.keys import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.secret import Secret

__all__ = [
    "Attempt",
    "HeldAttempt",
    "Received",
    "begin",
    "claim",
    "digest_of",
    "folder",
    "scopes",
]

logger: Final = logging.getLogger("agentkeys")

_SUFFIX: Final = ".attempt"
_LONGEST: Final = 86400.0  # seconds: a request that takes longer is given up by somebody on the way
_converter: Final = make_converter(detailed_validation=False)


@attrs.frozen
class Received:
    """The secret has come, and the store is about to be written.

    Attributes:
        key_id: the key's id, or None if the answer did not tell.
        store: the address of the store.
        digest: the SHA-256 of the secret.
    """

    key_id: str | int | None
    store: str
    digest: str


@attrs.frozen
class Attempt:
    """An attempt to issue a key, as far as it has come.

    Attributes:
        scope: where the key belongs.
        name: the key's name on the service.
        nonce: what in the name proves that the key is this attempt's; None for an exact name.
        begun_at: seconds since 1970.
        seconds: how long after that its request may still be sent.
        received: the second step, once it is taken.
    """

    scope: Scope
    name: str
    nonce: str | None
    begun_at: float
    seconds: float = 0.0
    received: Received | None = None


class HeldAttempt:
    """An attempt whose file is open and locked by this process, until it is released.

    Attributes:
        path: the file.
        attempt: how far it has come.
        is_finished: whether nothing was left to be done.
    """

    def __init__(self, path: Path, descriptor: int, attempt: Attempt) -> None:
        self.path = path
        self.attempt = attempt
        self.is_finished = False
        self._is_released = False
        self._descriptor = descriptor
        # A thread may still write when the event loop lets go, and the number of a descriptor that
        # is closed is soon somebody else's.
        self._lock = threading.Lock()
        forks.watch(self)

    def receive(self, key_id: str | int | None, store: str, secret: Secret) -> None:
        """Note that the secret has come and is about to be stored; durable when this returns."""
        received = Received(key_id, store, digest_of(secret))
        try:
            with self._lock:
                _append(self._descriptor, received)
        finally:
            if self._is_released:
                self.release()
        self.attempt = attrs.evolve(self.attempt, received=received)

    def finish(self) -> None:
        """Remove the file: nothing is left to be done."""
        # Neither synced nor insisted on: if it stays, a sweep finds that all is done.
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        self.is_finished = True
        self.release()

    def release(self) -> None:
        """Leave the file to whoever sweeps. A thread that writes to it does so when it has."""
        self._is_released = True
        if self._lock.acquire(blocking=False):
            try:
                if self._descriptor >= 0:
                    _unlock(self._descriptor)  # a forked child may have the descriptor, too
                self._close()
            finally:
                self._lock.release()

    def begin_afresh(self) -> object:
        """Let go of it in a forked child, or the lock would outlive the parent."""
        self._lock = threading.Lock()  # a thread that is not here may have held the one before
        self._close()
        return self

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def begin(scope: Scope, name: str, nonce: str | None, *, seconds: float = 0.0) -> HeldAttempt:
    """Make the file of a new attempt; it is durable and locked when this returns.

    Args:
        scope: where the key belongs.
        name: the key's name on the service.
        nonce: what in the name is the attempt's own; None for an exact name.
        seconds: how long from now on its request may be sent.

    Raises:
        ConfigurationError: it cannot be made, so nothing must be sent.

    """
    parent = folder()
    try:
        attempt = Attempt(scope, name, nonce, time.time(), min(seconds, _LONGEST))
        held = _created(parent, attempt)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return held
    raise ConfigurationError(
        f"cannot write to {parent}, which is to remember the key if this process is killed:"
        f" {reason}: set AGENTKEYS_HOME to a folder of your own"
    )


def claim(is_wanted: Callable[[Scope], bool]) -> list[HeldAttempt]:
    """Lock the attempts in wanted scopes whose owners are gone; the caller releases each."""
    held = (_claimed(path, is_wanted) for path in sorted(folder().glob(f"*{_SUFFIX}")))
    return [each for each in held if each is not None]


def scopes() -> set[Scope]:
    """Return the scopes in which attempts are left whose owners are gone."""
    found = claim(lambda _: True)
    for held in found:
        held.release()
    return {held.attempt.scope for held in found}


def digest_of(secret: Secret) -> str:
    """Return the SHA-256 of a secret in hexadecimal. A key is random: it tells nothing of it."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def folder() -> Path:
    """Return where the files lie: below AGENTKEYS_HOME, or in the user's state directory.

    Raises:
        ConfigurationError: the extra that knows that directory is missing.

    """
    home = os.environ.get("AGENTKEYS_HOME")
    if home:
        return Path(home).absolute() / "attempts"
    try:
        from platformdirs import user_state_path
    except ModuleNotFoundError:
        pass
    else:
        return user_state_path("agentkeys", appauthor=False) / "attempts"
    raise ConfigurationError(
        "issuing a key needs platformdirs: pip install 'agentkeys-sdk[issue]', or set"
        " AGENTKEYS_HOME to a folder"
    )


def _created(parent: Path, attempt: Attempt) -> HeldAttempt:
    _make_folder(parent)
    path, descriptor = _locked_file(parent)
    held = HeldAttempt(path, descriptor, attempt)
    try:
        _append(descriptor, attempt)
        _sync_folder(parent)
    except BaseException:
        held.finish()
        raise
    return held


def _make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that a power failure leaves them."""
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(path.parent)


def _locked_file(parent: Path) -> tuple[Path, int]:
    """Make an empty file and lock it. A sweep may come in between, and take it for a dead one."""
    while True:
        path = parent / f"{secrets.token_hex(8)}{_SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            if _lock(descriptor) and _is_still(path, descriptor):
                return path, descriptor
        except OSError:  # e.g. a file system that knows no locks
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)


def _claimed(path: Path, is_wanted: Callable[[Scope], bool]) -> HeldAttempt | None:
    """Lock an attempt in a wanted scope, unless its owner lives or it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError:
        return None
    try:
        attempt = _abandoned(path, descriptor, is_wanted)
    except OSError as error:
        logger.warning("%s cannot be read, and is left alone: %s", path, error.strerror)
        attempt = None
    if attempt is None:
        os.close(descriptor)
        return None
    return HeldAttempt(path, descriptor, attempt)


def _abandoned(path: Path, descriptor: int, is_wanted: Callable[[Scope], bool]) -> Attempt | None:
    """Lock and read an attempt; None if it is not wanted, its owner lives, or it is none."""
    begun = _attempt(_lines(descriptor))
    # Before it is locked, or whoever sweeps its scope now would take it for one that lives.
    if begun is not None and not is_wanted(begun.scope):
        return None
    if not (_lock(descriptor) and _is_still(path, descriptor)):
        return None
    lines = _lines(descriptor)
    attempt = _attempt(lines)
    if not lines:  # its owner died before it was durable, and so before anything was sent
        path.unlink(missing_ok=True)
    elif attempt is None:
        logger.warning("%s is no attempt that this version can read: it is left alone", path)
    return attempt if attempt is not None and is_wanted(attempt.scope) else None


def _lines(descriptor: int) -> list[bytes]:
    """Return the lines that are whole; a last one that is torn was not yet acted on."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read().split(b"\n")[:-1]


def _attempt(lines: list[bytes]) -> Attempt | None:
    try:
        first, *more = lines
        attempt = _converter.loads(first, Attempt)
        if more:
            attempt = attrs.evolve(attempt, received=_converter.loads(more[-1], Received))
    except Exception:  # noqa: BLE001  # whatever is wrong with it
        return None
    return attempt


def _append(descriptor: int, step: Attempt | Received) -> None:
    line = memoryview(f"{_converter.dumps(step)}\n".encode())
    while line:
        line = line[os.write(descriptor, line) :]
    os.fsync(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether *path* is the file that was opened: somebody may have removed it before the lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    _FAR_BEHIND: Final = 1 << 30  # a locked byte cannot be read by others

    def _lock(descriptor: int) -> bool:
        os.lseek(descriptor, _FAR_BEHIND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        """Do nothing: closing it is enough there."""

    def _sync_folder(path: Path) -> None:
        """Do nothing: a folder cannot be opened there."""

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        """Lock a file for as long as it is open in this process; False if another one has it."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _sync_folder(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
