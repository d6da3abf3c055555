"""Attempts to issue a key, each a file, so that what a dead process left is found.

A file has a line for each step, which is on the disk before the step is taken: the first before the
request is sent, the second before the store is written. It holds no secret. Its owner keeps it
locked for as long as he lives, and removes it when nothing is left to be done.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

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
    "in_thread",
    "scopes",
]

logger: Final = logging.getLogger("agentkeys")

T = TypeVar("T")

_SUFFIX: Final = ".attempt"
_PATIENCE: Final = 2.0  # seconds for a disk that hangs
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
        received: the second step, once it is taken.
    """

    scope: Scope
    name: str
    nonce: str | None
    begun_at: float
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
        self._descriptor = descriptor
        # A thread may still write when the event loop lets go, and the number of a descriptor that
        # is closed is soon somebody else's.
        self._lock = threading.Lock()
        forks.watch(self)

    def receive(self, key_id: str | int | None, store: str, secret: Secret) -> None:
        """Note that the secret has come and is about to be stored; durable when this returns."""
        received = Received(key_id, store, digest_of(secret))
        with self._lock:
            _append(self._descriptor, received)
        self.attempt = attrs.evolve(self.attempt, received=received)

    def finish(self) -> None:
        """Remove the file: nothing is left to be done."""
        # Not synced: if it comes back after a power failure, a sweep finds that all is done.
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
        self.is_finished = True
        self.release()

    def release(self) -> None:
        """Leave the file to whoever sweeps."""
        with self._lock:
            self._close()

    def begin_afresh(self) -> object:
        """Let go of it in a forked child, or the lock would outlive the parent."""
        self._close()  # the lock may have been held by a thread that is not here
        return self

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def begin(scope: Scope, name: str, nonce: str | None) -> HeldAttempt:
    """Make the file of a new attempt; it is durable and locked when this returns.

    Raises:
        ConfigurationError: it cannot be made, so nothing must be sent.

    """
    parent = folder()
    try:
        held = _created(parent, Attempt(scope, name, nonce, time.time()))
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
    held = (_claimed(path) for path in sorted(folder().glob(f"*{_SUFFIX}")))
    return [each for each in held if each is not None and _is_kept(each, is_wanted)]


def scopes() -> set[Scope]:
    """Return the scopes in which attempts are left whose owners are gone."""
    found = claim(lambda _: True)
    for held in found:
        held.release()
    return {held.attempt.scope for held in found}


def _is_kept(held: HeldAttempt, is_wanted: Callable[[Scope], bool]) -> bool:
    if is_wanted(held.attempt.scope):
        return True
    held.release()
    return False


async def in_thread(work: Callable[[], T]) -> T:
    """Return what *work* does, which waits for the disk, in a thread.

    If the caller is cancelled, the cancellation waits for it. What it gives is lost then, so it
    should leave that where the caller finds it.
    """
    working = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        await asyncio.wait((working,))
    except asyncio.CancelledError:
        await asyncio.wait((working,), timeout=_PATIENCE)
        raise
    return await working


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
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, descriptor = _locked_file(parent)
    held = HeldAttempt(path, descriptor, attempt)
    try:
        _append(descriptor, attempt)
        _sync_folder(parent)
    except BaseException:
        held.finish()
        raise
    return held


def _locked_file(parent: Path) -> tuple[Path, int]:
    """Make an empty file and lock it. A sweep may come in between, and take it for a dead one."""
    while True:
        path = parent / f"{secrets.token_hex(8)}{_SUFFIX}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        if _lock(descriptor) and _is_still(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _claimed(path: Path) -> HeldAttempt | None:
    """Lock an attempt, unless its owner lives or it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError:
        return None
    lines: list[bytes] = []
    if _lock(descriptor) and _is_still(path, descriptor):
        lines = _lines(descriptor)
        if not lines:  # its owner died before it was durable, and so before anything was sent
            path.unlink(missing_ok=True)
    attempt = _attempt(lines)
    if attempt is not None:
        return HeldAttempt(path, descriptor, attempt)
    os.close(descriptor)
    if lines:
        logger.warning("%s is no attempt that this version can read: it is left alone", path)
    return None


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

    def _sync_folder(path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
