"""A store that is the keyring of the operating system. It needs the extra ``keyring``."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from agentkeys import filesystem, locks
from agentkeys.errors import ConfigurationError, InvalidArgumentError, StoreError
from agentkeys.masking import mask
from agentkeys.secret import Secret
from agentkeys.stores.contract import ANY, Expected, Found, Stored, Version
from agentkeys.stores.contract.checks import check_expected, check_secret, check_text, check_timeout
from agentkeys.stores.contract.threads import AtWork, Turn
from agentkeys.terminal import echo_kept

try:
    import keyring
    from keyring import errors as keyring_errors
except ModuleNotFoundError as missing:
    if missing.name != "keyring":
        raise
    raise ConfigurationError(
        "the keyring store needs keyring: pip install 'agentkeys-sdk[keyring]'"
    ) from None

if TYPE_CHECKING:
    import threading

    from keyring.backend import KeyringBackend

    T = TypeVar("T")

__all__ = ["KeyringStore"]

# Between what is read and what is written there must be no other thread's write.
_turn: Final = Turn()
_LOCK: Final = ".agentkeys-lock"
_PAUSE: Final = 0.01
"""Seconds between two looks at whether the lock is free."""


class KeyringStore(AtWork):
    """A secret in the keyring of the operating system.

    That is Keychain, Credential Manager, the Secret Service and others: the library `keyring` finds
    it, and ``PYTHON_KEYRING_BACKEND`` names another. Stores in one process wait for each other. If
    the keyring is a file, stores in all processes do: such a keyring rewrites all of it for each
    name. Of two processes that write one name to another keyring at once, the last one wins.

    Args:
        service: what the keyring calls the service.
        name: what it calls the user name. It has no ``#``.
        timeout: seconds for each call, in which somebody may have to unlock the keyring.

    Raises:
        ConfigurationError: the extra ``keyring`` is not installed.
        InvalidArgumentError: *service* or *name* cannot be right.

    """

    readable = True

    def __init__(self, service: str, name: str, *, timeout: float = 30.0) -> None:
        self._service = check_text("the service", service)
        self._name = check_text("the name", name)
        if "#" in self._name:
            raise InvalidArgumentError("the name of a keyring entry has a # in it: choose another")
        self._timeout = check_timeout(timeout)
        super().__init__()
        self.address = f"keyring:{self._service}#{self._name}"

    async def probe(self) -> None:
        """Write something to another name, read it back, and remove it.

        Raises:
            StoreError: the keyring is locked, cannot be reached, or does not keep what it is given.

        """
        await self._in_thread(self._probe)

    async def read(self) -> Stored:
        """Return what the keyring holds; see `Store.read`."""
        return await self._in_thread(lambda backend: Stored.of(self._read(backend)), reads=True)

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Keep *secret*; see `Store.write`."""
        check_secret(secret)
        return await self._in_thread(lambda backend: self._write(backend, secret, expected))

    async def write_noted(
        self, secret: Secret, *, expected: Expected = ANY, note: Callable[[Found], object]
    ) -> Version:
        """Keep *secret*, once it is noted which keyring that is."""
        check_secret(secret)
        return await self._in_thread(lambda backend: self._write(backend, secret, expected, note))

    async def is_as_found(self, found: Found) -> bool:
        """Return whether that was the keyring that is used now, under this environment."""
        return await self._in_thread(_found) == found

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the secret; see `Store.remove`."""
        await self._in_thread(lambda backend: self._remove(backend, expected))

    def describe(self) -> str:
        """Return where the secret lies."""
        return f"{self._name} of {self._service} in the keyring"

    def __repr__(self) -> str:
        return f"KeyringStore({self._service!r}, {self._name!r})"

    async def _in_thread(self, work: Callable[[KeyringBackend], T], *, reads: bool = False) -> T:
        def alone(stop: threading.Event) -> T:
            backend = self._backend()
            lock = _turn.lock
            while not lock.acquire(blocking=False):
                if stop.wait(_PAUSE):
                    raise self._error("another thread is using it: try again")
            try:
                with _locked(backend, stop, reads=reads):
                    return work(backend)
            except StoreError:
                raise
            except locks.LockedError:
                reason = "another process is using it: try again"
            except filesystem.RefusedError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001  # a backend raises what it likes
                reason = _reason(error)
            finally:
                lock.release()
            raise self._error(reason)

        # An encrypted keyring asks for its password on the terminal.
        with echo_kept():
            return await self._waited_for(alone, timeout=self._timeout, store=self.describe())

    def _backend(self) -> KeyringBackend:
        try:
            return keyring.get_keyring()
        except Exception as error:  # noqa: BLE001  # a backend raises what it likes
            # No secret has been near it yet, so it may speak.
            reason = f"{type(error).__name__}: {mask(str(error))}"
        raise self._error(f"there is no keyring that can be used ({reason}): {_NAME_ONE}")

    def _probe(self, backend: KeyringBackend) -> None:
        name, value = f"agentkeys-probe-{secrets.token_hex(8)}", Secret(secrets.token_urlsafe(48))
        backend.set_password(self._service, name, value.reveal())
        try:
            kept = _password(backend, self._service, name) == value
        finally:
            backend.delete_password(self._service, name)
        if not kept:
            raise self._error(f"it does not keep what it is given: {_NAME_ONE}")

    def _read(self, backend: KeyringBackend) -> Secret | None:
        return _password(backend, self._service, self._name)

    def _write(
        self,
        backend: KeyringBackend,
        secret: Secret,
        expected: Expected,
        note: Callable[[Found], object] | None = None,
    ) -> Version:
        self._check(backend, expected)
        if note is not None:
            note(_found(backend))
        backend.set_password(self._service, self._name, secret.reveal())
        if self._read(backend) != secret:
            raise self._error("something else than what was written is read back")
        return Version.of(secret)

    def _remove(self, backend: KeyringBackend, expected: Expected) -> None:
        if self._check(backend, expected) is not None:
            backend.delete_password(self._service, self._name)

    def _check(self, backend: KeyringBackend, expected: Expected) -> Secret | None:
        found = self._read(backend)
        check_expected(expected, Stored.of(found).version, self.describe())
        return found

    def _error(self, reason: str) -> StoreError:
        return StoreError(f"cannot use {self.describe()}: {reason}", store=self.describe())


@contextlib.contextmanager
def _locked(backend: KeyringBackend, stop: threading.Event, *, reads: bool) -> Iterator[None]:
    """Be the only process of ours that uses a keyring which rewrites a file as a whole."""
    with contextlib.ExitStack() as held:
        for path in _files(backend):
            folder = os.path.dirname(path)  # noqa: PTH120
            # Who only reads needs no right to write there.
            with contextlib.suppress(*([OSError] if reads else [])):
                if not reads:
                    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
                held.enter_context(locks.locked(f"{path}{_LOCK}", stop))
        yield


def _files(backend: KeyringBackend) -> list[str]:
    """Return the files of a keyring, or of several that are one after the other."""
    if sys.platform == "win32":
        return []
    backends = getattr(backend, "backends", None) or [backend]
    paths = {str(path) for each in backends if (path := getattr(each, "file_path", None))}
    return sorted(filesystem.resolved(os.path.abspath(path)) for path in paths)  # noqa: PTH100


_NAME_ONE: Final = "name another in PYTHON_KEYRING_BACKEND, or use another store"


def _found(backend: KeyringBackend) -> Found:
    names = ", ".join(map(_named, [backend, *getattr(backend, "backends", ())]))
    path = getattr(backend, "file_path", None)
    if not isinstance(path, str):
        return Found(f"the keyring {names}", names)
    # It was there when this was noted, for it has been probed: else it is another one.
    with contextlib.suppress(OSError):
        status = os.stat(path)  # noqa: PTH116  # it came as a str, and goes as one
        return Found(f"the keyring {names} in {path}", f"{names} {status.st_dev}:{status.st_ino}")
    return Found(f"the keyring {names} in {path}", "absent")


def _named(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _password(backend: KeyringBackend, service: str, name: str) -> Secret | None:
    # Not bound to a name: an empty one is none, and so is None.
    return Secret(backend.get_password(service, name) or "") or None


def _reason(error: Exception) -> str:
    if isinstance(error, keyring_errors.KeyringLocked | keyring_errors.InitError):
        return "it is locked, and nobody unlocked it: unlock it and try again"
    if isinstance(error, keyring_errors.NoKeyringError):
        return f"there is no keyring on this machine: {_NAME_ONE}"
    # Nothing of what it says, for that may hold the secret.
    return f"the keyring failed with {type(error).__name__}, and what it holds is not known"
