"""A store in the keyring of the operating system. It needs the extra ``keyring``."""

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

# No other thread may write between a read and the write that depends on it.
_turn: Final = Turn()
_LOCK: Final = ".agentkeys-lock"
_PAUSE: Final = 0.01
"""Seconds between two attempts to get the lock."""


class KeyringStore(AtWork):
    """A secret in the keyring of the operating system.

    This is Keychain, Credential Manager, the Secret Service or another: the library `keyring` finds
    it, and ``PYTHON_KEYRING_BACKEND`` names another. Stores in one process wait for each other. If
    the keyring is a file, stores in all processes wait for each other, because each write rewrites
    the whole file. With any other keyring, if two processes write the same name at the same time,
    the last write wins.

    Args:
        service: the keyring's name for the service.
        name: the keyring's user name. It contains no ``#``.
        timeout: seconds for each call, in which a person may have to unlock the keyring.

    Raises:
        ConfigurationError: the extra ``keyring`` is not installed.
        InvalidArgumentError: *service* or *name* is invalid.
    """

    readable = True

    def __init__(self, service: str, name: str, *, timeout: float = 30.0) -> None:
        self._service = check_text("the service", service)
        self._name = check_text("the name", name)
        if "#" in self._name:
            raise InvalidArgumentError("the name of a keyring entry contains a #: choose another")
        self._timeout = check_timeout(timeout)
        super().__init__()
        self.address = f"keyring:{self._service}#{self._name}"

    async def probe(self) -> None:
        """Write a value to another name, read it back, and remove it.

        Raises:
            StoreError: the keyring is locked, cannot be reached, or does not keep a value.
        """
        await self._in_thread(self._probe)

    async def read(self) -> Stored:
        """Return the content of the keyring; see `Store.read`."""
        return await self._in_thread(lambda backend: Stored.of(self._read(backend)), reads=True)

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Store *secret*; see `Store.write`."""
        check_secret(secret)
        return await self._in_thread(lambda backend: self._write(backend, secret, expected))

    async def write_noted(
        self, secret: Secret, *, expected: Expected = ANY, note: Callable[[Found], object]
    ) -> Version:
        """Store *secret*, after *note* has the identity of the keyring."""
        check_secret(secret)
        return await self._in_thread(lambda backend: self._write(backend, secret, expected, note))

    async def is_as_found(self, found: Found) -> bool:
        """Return whether the noted keyring is the one in use now, in this environment."""
        return await self._in_thread(_found) == found

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the secret; see `Store.remove`."""
        await self._in_thread(lambda backend: self._remove(backend, expected))

    def describe(self) -> str:
        """Return the place of the secret."""
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
            except Exception as error:  # noqa: BLE001  # a backend may raise anything
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
        except Exception as error:  # noqa: BLE001  # a backend may raise anything
            # The backend has not received a secret yet, so its text may be shown.
            reason = f"{type(error).__name__}: {mask(str(error))}"
        raise self._error(f"there is no usable keyring ({reason}): {_NAME_ONE}")

    def _probe(self, backend: KeyringBackend) -> None:
        name, value = f"agentkeys-probe-{secrets.token_hex(8)}", Secret(secrets.token_urlsafe(48))
        backend.set_password(self._service, name, value.reveal())
        try:
            kept = _password(backend, self._service, name) == value
        finally:
            backend.delete_password(self._service, name)
        if not kept:
            raise self._error(f"it does not return what was written: {_NAME_ONE}")

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
            raise self._error("it does not return what was written")
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
    """Hold the lock of a keyring that rewrites a file as a whole, among our processes."""
    with contextlib.ExitStack() as held:
        for path in _files(backend):
            folder = os.path.dirname(path)  # noqa: PTH120
            # A process that only reads needs no right to write there.
            with contextlib.suppress(*([OSError] if reads else [])):
                if not reads:
                    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
                held.enter_context(locks.locked(f"{path}{_LOCK}", stop))
        yield


def _files(backend: KeyringBackend) -> list[str]:
    """Return the files of a keyring, or of a chain of keyrings."""
    if sys.platform == "win32":
        return []
    backends = getattr(backend, "backends", None) or [backend]
    paths = {str(path) for each in backends if (path := getattr(each, "file_path", None))}
    return sorted(filesystem.resolved(os.path.abspath(path)) for path in paths)  # noqa: PTH100


_NAME_ONE: Final = "name another keyring in PYTHON_KEYRING_BACKEND, or use another store"


def _found(backend: KeyringBackend) -> Found:
    names = ", ".join(map(_named, [backend, *getattr(backend, "backends", ())]))
    path = getattr(backend, "file_path", None)
    if not isinstance(path, str):
        return Found(f"the keyring {names}", names)
    # It existed when this was noted, because it had been probed: else it is another one.
    with contextlib.suppress(OSError):
        status = os.stat(path)  # noqa: PTH116  # `path` is a str, and stays one
        return Found(f"the keyring {names} in {path}", f"{names} {status.st_dev}:{status.st_ino}")
    return Found(f"the keyring {names} in {path}", "absent")


def _named(backend: KeyringBackend) -> str:
    return f"{type(backend).__module__}.{type(backend).__qualname__}"


def _password(backend: KeyringBackend, service: str, name: str) -> Secret | None:
    # Not bound to a name: an empty value is none, and so is None.
    return Secret(backend.get_password(service, name) or "") or None


def _reason(error: Exception) -> str:
    if isinstance(error, keyring_errors.KeyringLocked | keyring_errors.InitError):
        return "it is locked: unlock it and try again"
    if isinstance(error, keyring_errors.NoKeyringError):
        return f"there is no keyring on this machine: {_NAME_ONE}"
    # None of the error's text, because it may hold the secret.
    return f"the keyring failed with {type(error).__name__}, and its content is not known"
