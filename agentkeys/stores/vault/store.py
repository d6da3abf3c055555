"""The store in a field of a secret of a key-value mount, version 2."""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import attrs

from agentkeys import threads
from agentkeys.errors import InvalidArgumentError
from agentkeys.schemes import FORMS
from agentkeys.secret import Secret
from agentkeys.stores.contract import Stored
from agentkeys.stores.contract.checks import check_text
from agentkeys.stores.contract.remote import Held, Moved, RemoteStore
from agentkeys.stores.vault.entry import Entry, Mount
from agentkeys.stores.vault.server import Server, ends, failure
from agentkeys.stores.vault.settings import Refused, Settings

__all__ = ["VaultStore"]

T = TypeVar("T")

_ALLOW_HTTP: Final = "?allow_http"
_LARGEST: Final = 1 << 20
"""The largest storage entry in bytes, by Vault's and OpenBao's documentation of limits."""


@attrs.frozen
class _Rest:
    """Other content that was read: the mount, and all fields of the secret."""

    mount: Mount
    fields: dict[str, Any] = attrs.field(repr=False)


class VaultStore(RemoteStore):
    """A field of a secret in HashiCorp Vault or OpenBao.

    The secret is in a mount of the key-value store, version 2. Its other fields, its metadata and
    its settings stay as they are.

    For each request, the server and the token are found as by the command lines of Vault and
    OpenBao: ``VAULT_ADDR``, ``VAULT_TOKEN`` or ``~/.vault-token``, ``VAULT_NAMESPACE``,
    ``VAULT_CACERT``, ``VAULT_CAPATH``, ``VAULT_CLIENT_CERT``, ``VAULT_CLIENT_KEY`` and
    ``VAULT_SKIP_VERIFY``, or the same names with ``BAO_``.

    Args:
        path: the mount and the path of the secret in it: ``kv/billing-bot``.
        field: the name of the field. It contains no ``#`` and no ``?``.
        allow_http: allow http to another machine, for a network of your own.
        timeout: seconds for each call; `math.inf` means no limit.

    Raises:
        ConfigurationError: the extra ``vault`` is not installed.
        InvalidArgumentError: *path* or *field* is invalid.
    """

    quiet = ("hvac", "requests", "urllib3")

    def __init__(
        self, path: str, field: str, *, allow_http: bool = False, timeout: float = 30.0
    ) -> None:
        super().__init__(timeout=timeout)
        self._path = _checked_path(check_text("the path", path))
        self._field = check_text("the field", field)
        if not self._field.isprintable() or "#" in self._field or "?" in self._field:
            raise InvalidArgumentError("the name of the field contains a # or a ?: choose another")
        self._allow_http = bool(allow_http)
        self.address = f"vault:{self._path}#{self._field}{_ALLOW_HTTP * self._allow_http}"

    @classmethod
    def at(cls, place: str) -> VaultStore:
        """Return the store of an address without its ``vault:``."""
        path, sign, field = place.rpartition("#")
        if not sign:
            raise InvalidArgumentError(f"the address of a Vault store is {FORMS['vault']}")
        return cls(path, field.removesuffix(_ALLOW_HTTP), allow_http=field.endswith(_ALLOW_HTTP))

    async def previous(self) -> Stored:
        """Return the newest earlier secret that differs; see `VersionedStore.previous`."""

        async def looked() -> Stored:
            held = await self._looked()
            before = self._done(lambda entry: self._before(entry, held))
            return Stored.of(await self._asked(before))

        return await self._bounded(looked)

    def describe(self) -> str:
        """Return the place of the secret."""
        return f"{self._field} of {self._path} in Vault"

    def __repr__(self) -> str:
        return f"VaultStore({self._path!r}, {self._field!r})"

    async def _held(self) -> Held:
        return await self._done(self._read)

    async def _put(self, secret: Secret | None, held: Held) -> None:
        await self._done(lambda entry: self._write(entry, secret, held), held.rest.mount)

    async def _put_unread(self, secret: Secret) -> None:
        await self._done(lambda entry: self._patch(entry, secret))

    async def _rehearse(self, held: Held | None) -> None:
        fields = None if held is None else self._fields(held.secret, held)
        mount = None if held is None else held.rest.mount
        await self._done(lambda entry: entry.rehearse(fields), mount)

    async def _place(self) -> str:
        return await self._done(Entry.place)

    def _told(self, error: Exception) -> Exception:
        if not isinstance(error, Refused):
            error = failure(error)
        return self._error(str(error)) if isinstance(error, Refused) else error

    def _objection(self, secret: Secret) -> str | None:
        if len(secret.reveal().encode()) > _LARGEST:
            return "the secret is larger than 1 MiB, the limit for an entry in Vault"
        return None

    async def _bounded(self, work: Callable[[], Awaitable[T]], changing: Any = None) -> T:
        # A thread cannot be interrupted, so it must know the deadline of the call.
        token = ends.set(time.monotonic() + self._timeout)
        try:
            return await super()._bounded(work, changing)
        finally:
            ends.reset(token)

    async def _done(self, work: Callable[[Entry], T], mount: Mount | None = None) -> T:
        """Run *work* in a thread, with a connection of its own."""

        def connected(stop: threading.Event) -> T:
            settings = Settings.found(os.environ, allow_http=self._allow_http)
            with Server(settings, stop) as server:
                return work(Entry(server, self._path, mount))

        # The context keeps the loggers silent in the thread too.
        context = contextvars.copy_context()
        return await threads.in_thread(lambda stop: context.run(connected, stop))

    def _read(self, entry: Entry) -> Held:
        found = entry.read()
        return Held(self._secret_in(found.fields), found.number, _Rest(entry.mount, found.fields))

    def _secret_in(self, fields: dict[str, Any]) -> Secret | None:
        # Not bound to a name, because it is the secret.
        if not isinstance(fields.get(self._field), str | None):
            raise Refused(f"the field {self._field} holds a value that is not text")
        return Secret(fields.get(self._field) or "") or None

    def _fields(self, secret: Secret | None, held: Held) -> dict[str, Any]:
        """Return all fields as they will be."""
        others = {name: value for name, value in held.rest.fields.items() if name != self._field}
        return others | ({self._field: secret.reveal()} if secret else {})

    def _write(self, entry: Entry, secret: Secret | None, held: Held) -> None:
        fields = self._fields(secret, held)
        number = entry.write(fields, expected=held.token)
        if not fields:
            # Only a version can make the write conditional. The version is deleted again, so that
            # other readers see no secret either.
            entry.delete(number)

    def _patch(self, entry: Entry, secret: Secret) -> None:
        for _ in range(3):
            missing = entry.patch({self._field: secret.reveal()})
            if missing is None:
                return
            try:
                # There are no other fields to lose, while the condition holds.
                entry.write({self._field: secret.reveal()}, expected=missing)
            except Moved:
                continue
            return
        raise Moved("other programs keep changing it: try again")

    def _before(self, entry: Entry, held: Held) -> Secret | None:
        for number in range(held.token - 1, 0, -1):
            found = entry.read(number)
            if not found.number:  # older versions are no longer kept
                break
            with contextlib.suppress(Refused):  # a value that was not text is not a secret
                secret = self._secret_in(found.fields)
                if secret and secret != held.secret:
                    return secret
        return None


def _checked_path(path: str) -> str:
    segments = path.strip("/").split("/")
    if len(segments) < 2 or not {"", ".", ".."}.isdisjoint(segments) or not path.isprintable():
        raise InvalidArgumentError(
            "the path of a Vault store is MOUNT/PATH, and no part of it is empty, '.' or '..'"
        )
    return "/".join(segments)
