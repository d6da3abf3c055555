"""The contract of a store for secrets."""

from __future__ import annotations

import contextlib
import enum
import hashlib
from collections.abc import (  # a program that asks for the hints of a store needs it
    Awaitable,
    Callable,
)
from typing import Final, Literal, Protocol, TypeAlias, final, runtime_checkable

import attrs

from agentkeys.errors import StoreError
from agentkeys.secret import Secret

__all__ = [
    "ABSENT",
    "ANY",
    "Expected",
    "Found",
    "IdentifiedStore",
    "RecognizableStore",
    "Store",
    "Stored",
    "Version",
    "VersionedStore",
    "found_at",
    "is_as_found",
    "late_write",
    "look_into",
]


@final
@attrs.frozen
class Version:
    """The content of a store at one moment. Two versions are equal if the content is the same.

    Args:
        tag: any string that distinguishes the versions. It must not be a secret.
    """

    tag: str = attrs.field(repr=False)

    @classmethod
    def of(cls, secret: Secret | None) -> Version:
        """Return the version for a store without its own ones: a digest, or `ABSENT`."""
        if secret is None:
            return ABSENT
        return cls(hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest())


ABSENT: Final = Version("absent")
"""The version of a store without a secret. As `expected`, it protects an existing secret."""


class _Anything(enum.Enum):
    ANY = "any"


ANY: Final = _Anything.ANY
"""As `expected`: replace or remove whatever the store holds."""

Expected: TypeAlias = Version | Literal[_Anything.ANY]
"""What a store must hold to be changed: `ABSENT`, `ANY`, or the version that was read."""


@final
@attrs.frozen
class Stored:
    """The content of a store.

    Args:
        secret: the secret, or None. An empty value counts as None.
        version: the version to expect when the secret is replaced or removed.
    """

    secret: Secret | None
    version: Version

    @classmethod
    def of(cls, secret: Secret | None) -> Stored:
        """Return the content of a store without its own versions."""
        return cls(secret or None, Version.of(secret or None))


@final
@attrs.frozen
class Found:
    """The state of a store right before it was changed, to compare with its state later.

    Args:
        place: the place of the store, for a text. It must not hold a secret.
        state: any string that distinguishes this place from another of its name. Not a secret.
    """

    place: str
    state: str


@runtime_checkable
class Store(Protocol):
    """A place for one secret. Implement this protocol to use a store of your own.

    Every method that fails raises `StoreError`; then the store holds its old content, or the new
    one. A cancelled call leaves one of the two as well. The tests for this contract are in
    `agentkeys.testing.store_conformance`.

    The work of a cancelled call may continue, e.g. in a thread of `asyncio.to_thread`. So `issue`
    keeps the key of an interrupted write, and raises `UncertainStoreError`. A store can have an
    attribute ``is_at_work``: whether its work may continue. If it is False, `issue` reads the
    store, and deletes the key if its secret is not there.

    A store may declare two more attributes:

    - ``late_write``: the seconds for which a write may still arrive after its process died, for a
      store on another machine. The default is 0.0.
    - ``atomic``: whether one write succeeds, and all others raise `StoreConflictError`, if several
      processes or machines write at the same time and expect the same version. The default is
      False.

    Further abilities have their own protocols: `IdentifiedStore`, `VersionedStore` and
    `RecognizableStore`.
    """

    @property
    def address(self) -> str:
        """The address for `open_store` to open the same store in any process. Not a secret."""

    @property
    def readable(self) -> bool:
        """Whether the store can be read. If not, `read` and `remove` raise `StoreError`.

        `probe` may change this to False.
        """

    async def probe(self) -> None:
        """Check that the store can keep a secret, by writing another value and removing it.

        Raises:
            StoreError: it cannot. The text says what to do.
        """

    async def read(self) -> Stored:
        """Return the content of the store."""

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Store *secret*, read it back, and return its version.

        Raises:
            InvalidArgumentError: *secret* is empty or cannot be encoded as UTF-8.
            StoreConflictError: the store does not hold what was *expected*. Nothing was changed.
        """

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the secret. If there is none and `ANY` is expected, do nothing.

        Raises:
            StoreConflictError: the store does not hold what was *expected*. Nothing was changed.
        """

    def describe(self) -> str:
        """Return the place of the secret, for a text: ``NAME in /folder/.env``. Not a secret."""


async def look_into(store: Store) -> Stored:
    """Return the content of a store without any change, even to the leftovers of a killed writer.

    Reading a dotenv file removes these leftovers, but a sweep needs them as a proof that a secret
    was never stored. A store that cleans up when it is read has a method ``look`` that does not.
    """
    look: Callable[[], Awaitable[Stored]] = getattr(store, "look", store.read)
    return await look()


@runtime_checkable
class VersionedStore(Store, Protocol):
    """A store that keeps the previous secret, so that `abort` can restore it."""

    async def previous(self) -> Stored:
        """Return the previous secret; empty, if the store has none.

        Raises:
            StoreError: it cannot be read.
        """


@runtime_checkable
class IdentifiedStore(Store, Protocol):
    """A store that can distinguish its place from another place at the same address.

    A place is the account, the mount, the cluster or the database of the secret. If a process dies
    while it writes, a sweep reads the store. If the secret is not there and the place is the same,
    the secret was never stored, and its key can be deleted. If the place is another one, a person
    must decide.
    """

    async def identity(self) -> str:
        """Return an id that only this place has. Not a secret.

        It stays the same when the secret is written, replaced or removed.

        Raises:
            StoreError: it cannot be read.
        """


@runtime_checkable
class RecognizableStore(Store, Protocol):
    """A store that can be distinguished from another one at its address after its writer died.

    Without this, a missing secret proves nothing: the disk may not be mounted, the file may be
    renamed, the keyring may be another one. It is used for stores that `open_store` knows, because
    a sweep opens the store by its address. `IdentifiedStore` is simpler; this protocol is for a
    store that must note its state right before it is changed.
    """

    async def write_noted(
        self, secret: Secret, *, expected: Expected = ANY, note: Callable[[Found], object]
    ) -> Version:
        """Like `write`, and call *note* right before the store is changed.

        *note* is called in a thread, and may wait for a disk. If it raises `StoreError`, this
        method raises it too, and changes nothing.
        """

    async def is_as_found(self, found: Found) -> bool:
        """Return whether this is exactly the place in the note.

        Only then does a missing secret prove that it is not stored: it was never written there, or
        was replaced or removed. If this is not known, return False. Call this before `read`, which
        may remove what this method checks.

        Raises:
            StoreError: the place cannot be read.
        """


def late_write(store: Store) -> float:
    """Return for how many seconds a write may still arrive after its process died."""
    return float(getattr(store, "late_write", 0.0))


async def found_at(store: Store) -> Found | None:
    """Return the place of an `IdentifiedStore`; None if it is not known."""
    if isinstance(store, IdentifiedStore):
        with contextlib.suppress(StoreError):
            return Found(store.describe(), await store.identity())
    return None


async def is_as_found(store: Store, found: Found) -> bool:
    """Return whether a store is exactly the place in a note; False if this is not known.

    Raises:
        StoreError: the place cannot be read.
    """
    if isinstance(store, RecognizableStore):
        return await store.is_as_found(found)
    return isinstance(store, IdentifiedStore) and await store.identity() == found.state
