"""Attempts to issue a key, each a file, so that what a dead process left is found.

A file has a line for each step, which is on the disk before the step is taken: the first before the
request is sent, the second before the store is written. It holds no secret. Its owner keeps it
locked for as long as he lives, and removes it when nothing is left to be done.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import threading
from typing import TYPE_CHECKING, Final

import attrs

from agentkeys import forks, home
from agentkeys.errors import ConfigurationError
from agentkeys.lifecycle import entries, moments, state_file, wording
from agentkeys.lifecycle.entries import Attempt, Begun, NotAnAttempt, Received, Torn
from agentkeys.lifecycle.state_file import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agentkeys.keys import Scope
    from agentkeys.secret import Secret
    from agentkeys.stores.contract import Found

__all__ = ["Claimed", "HeldAttempt", "begin", "claim", "folder", "survey"]

_SUFFIX: Final = ".attempt"


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

    def receive(
        self, key_id: str | int | None, store: str, secret: Secret, found: Found | None = None
    ) -> None:
        """Note that the secret has come and is about to be stored; durable when this returns.

        Raises:
            OSError: it could not be noted, or the attempt was released meanwhile. Then the store
                must not be written: whoever sweeps may have deleted the key.

        """
        self._take(Received(key_id, store, entries.digest_of(secret), found))

    def count_from_now(self) -> None:
        """Note that no clock could tell how long ago it was begun.

        Raises:
            OSError: it could not be noted.

        """
        self._take(Begun.at(moments.now()))

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
                    state_file.unlock(self._descriptor)
                self._close()
            finally:
                self._lock.release()

    def begin_afresh(self) -> object:
        """Let go of it in a forked child, or the lock would outlive the parent."""
        self._lock = threading.Lock()  # a thread that is not here may have held the one before
        self._close()
        return self

    def _take(self, step: Begun | Received) -> None:
        try:
            with self._lock:
                state_file.append(self._descriptor, entries.dumped(step))
        finally:
            if self._is_released:
                self.release()
        self.attempt = self.attempt.after(step)
        if self._is_released:
            raise OSError(errno.ECANCELED, "its time was up")

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@attrs.frozen
class Claimed:
    """What was found in the folder.

    Attributes:
        held: the attempts in wanted scopes whose owners are gone, each of them locked.
        unreadable: what could not be looked at, and may be an attempt: a sentence each.
    """

    held: tuple[HeldAttempt, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def scopes(self) -> set[Scope]:
        """The scopes of the attempts."""
        return {each.attempt.scope for each in self.held}

    def release(self) -> None:
        """Leave all of them to whoever sweeps next."""
        for each in self.held:
            each.release()


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
    begun = Begun.at(moments.now())
    attempt = Attempt(scope, name, nonce, begun.begun_at, seconds).after(begun)
    try:
        held = _created(parent, attempt)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except RefusedError as error:
        reason = str(error)
    else:
        return held
    raise ConfigurationError(
        f"cannot write to {wording.shown(parent)}, which is to remember the key if this process is"
        f" killed: {reason}: set AGENTKEYS_HOME to a folder of your own, or to one that is not"
        " there yet"
    )


def claim(is_wanted: Callable[[Scope], bool]) -> Claimed:
    """Lock the attempts in wanted scopes whose owners are gone; the caller releases them.

    Raises:
        ConfigurationError: it is not known where they lie.

    """
    parent = folder()
    held: list[HeldAttempt] = []
    unreadable: list[str] = []
    try:
        paths = state_file.names(parent, _SUFFIX)
    except RefusedError as error:
        sentence = (
            f"{wording.shown(parent)} may name keys that are left, but was not looked into:"
            f" {error}: sweep as its owner, or make it yours alone (chown, chmod)"
        )
        return Claimed(unreadable=(sentence,))
    for path in paths:
        try:
            found = _claimed(path, is_wanted)
        except RefusedError as error:
            unreadable.append(
                f"{wording.shown(path)} may name a key that is left, but was not used: {error}:"
                " see what it is, then delete the file"
            )
        else:
            held += [] if found is None else [found]
    return Claimed(tuple(held), tuple(unreadable))


def survey() -> Claimed:
    """Return what is left by owners that are gone, without a lock on it."""
    found = claim(lambda _: True)
    found.release()
    return found


def folder() -> Path:
    """Return where the files lie: below AGENTKEYS_HOME, or in the user's state directory.

    Raises:
        ConfigurationError: there is none, or the extra that knows that directory is missing.

    """
    try:
        return home.state_folder() / "attempts"
    except ModuleNotFoundError:
        pass
    raise ConfigurationError(
        "issuing a key needs platformdirs: pip install 'agentkeys-sdk[issue]', or set"
        " AGENTKEYS_HOME to a folder"
    )


def _created(parent: Path, attempt: Attempt) -> HeldAttempt:
    state_file.make_folder(parent)
    state_file.check_folder(parent)
    path, descriptor = _locked_file(parent)
    held = HeldAttempt(path, descriptor, attempt)
    try:
        state_file.append(descriptor, entries.dumped(attempt))
        state_file.sync_folder(parent)
    except BaseException:
        held.finish()
        raise
    return held


def _locked_file(parent: Path) -> tuple[Path, int]:
    """Make an empty file and lock it. A sweep may come in between, and take it for a dead one."""
    while True:
        path = parent / f"{secrets.token_hex(8)}{_SUFFIX}"
        descriptor = state_file.create(path)
        try:
            if state_file.lock(descriptor) and state_file.is_still(path, descriptor):
                return path, descriptor
        except OSError:  # e.g. a file system that knows no locks
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)


def _claimed(path: Path, is_wanted: Callable[[Scope], bool]) -> HeldAttempt | None:
    """Lock an attempt in a wanted scope; None if it is not wanted, its owner lives, or it is gone.

    Raises:
        RefusedError: it cannot be told whether it is one.

    """
    try:
        descriptor = state_file.open_own(path)
    except FileNotFoundError:
        return None
    held = None
    try:
        held = _abandoned(path, descriptor, is_wanted)
    except OSError as error:
        reason = error.strerror or type(error).__name__
    else:
        return held
    finally:
        if held is None:
            os.close(descriptor)
    raise RefusedError(f"it cannot be read or locked: {reason}")


def _abandoned(
    path: Path, descriptor: int, is_wanted: Callable[[Scope], bool]
) -> HeldAttempt | None:
    begun = entries.read(state_file.read(descriptor))
    # Before it is locked, or whoever sweeps its scope now would take it for one that lives.
    if isinstance(begun, Attempt) and not is_wanted(begun.scope):
        return None
    if not (state_file.lock(descriptor) and state_file.is_still(path, descriptor)):
        return None
    match entries.read(state_file.read(descriptor)):
        case Torn():
            path.unlink(missing_ok=True)
        case NotAnAttempt(why):
            raise RefusedError(why)
        case Attempt() as attempt if is_wanted(attempt.scope):
            return HeldAttempt(path, descriptor, attempt)
    return None
