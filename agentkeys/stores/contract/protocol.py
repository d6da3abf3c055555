"""What every store of secrets does."""

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
    """What a store holds at one moment. Two are equal if it holds the same.

    Args:
        tag: whatever tells one version from another. It holds no secret.

    """

    tag: str = attrs.field(repr=False)

    @classmethod
    def of(cls, secret: Secret | None) -> Version:
        """Return the version of a store that has no versions of its own: a digest, or `ABSENT`."""
        if secret is None:
            return ABSENT
        return cls(hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest())


ABSENT: Final = Version("absent")
"""The version of a store that holds no secret. As `expected` it keeps what is there from harm."""


class _Anything(enum.Enum):
    ANY = "any"


ANY: Final = _Anything.ANY
"""As `expected`: whatever the store holds may be replaced or removed."""

Expected: TypeAlias = Version | Literal[_Anything.ANY]
"""What a store must hold for a change to be made: `ABSENT`, `ANY`, or the version last read."""


@final
@attrs.frozen
class Stored:
    """What a store holds.

    Args:
        secret: the secret, or None if there is none. An empty value is none.
        version: what to expect when this is to be replaced or removed.

    """

    secret: Secret | None
    version: Version

    @classmethod
    def of(cls, secret: Secret | None) -> Stored:
        """Return what a store holds that has no versions of its own."""
        return cls(secret or None, Version.of(secret or None))


@final
@attrs.frozen
class Found:
    """What a store was directly before it was changed, to be compared with what it is later.

    Args:
        place: where that was, for a sentence. No secret.
        state: whatever tells this place from another one of its name. No secret.

    """

    place: str
    state: str


@runtime_checkable
class Store(Protocol):
    """A place for one secret. Implement it to keep secrets where you keep yours.

    Every method that cannot do what it says raises `StoreError`, and then the store holds what it
    held before, or what it was told to hold. A call that is cancelled leaves one of the two as
    well. `agentkeys.testing.store_conformance` has the tests for all of that.

    What a cancelled call has begun may go on, as a thread of `asyncio.to_thread` does. So `issue`
    keeps the key of a write that was cut off, and raises `UncertainStoreError`. A store that knows
    better has an attribute ``is_at_work``: whether something of it goes on. If that is False,
    `issue` looks into the store, and deletes the key of a secret that is not there.

    A store may declare two more attributes:

    - ``late_write``: the seconds for which a write may still arrive at the place after its process
      has died, for a store on another machine. It is 0.0 if the store does not say.
    - ``atomic``: whether one write wins, and all others raise `StoreConflictError`, if several
      processes or machines write at once and expect the same version. It is False if the store
      does not say.

    Other abilities have protocols of their own: `IdentifiedStore`, `VersionedStore` and
    `RecognizableStore`.
    """

    @property
    def address(self) -> str:
        """What `open_store` makes the same store of, in any process and folder. No secret."""

    @property
    def readable(self) -> bool:
        """Whether the store can be read. If not, `read` and `remove` raise `StoreError`.

        `probe` may find out that it cannot.
        """

    async def probe(self) -> None:
        """Show that the store can keep a secret, by writing something else and removing it.

        Raises:
            StoreError: it cannot. The text says what to do.

        """

    async def read(self) -> Stored:
        """Return what the store holds."""

    async def write(self, secret: Secret, *, expected: Expected = ANY) -> Version:
        """Keep *secret*, and return the version that it now is. It has been read back.

        Raises:
            InvalidArgumentError: *secret* is empty, or no Unicode.
            StoreConflictError: the store does not hold what was *expected*. Nothing was changed.

        """

    async def remove(self, *, expected: Expected = ANY) -> None:
        """Remove the secret. It is no error if there is none and `ANY` was expected.

        Raises:
            StoreConflictError: the store does not hold what was *expected*. Nothing was changed.

        """

    def describe(self) -> str:
        """Return where the secret lies, for a sentence: ``NAME in /folder/.env``. No secret."""


async def look_into(store: Store) -> Stored:
    """Return what a store holds, and change nothing, not even what a killed writer has left.

    A read of a dotenv file removes that, by which a sweep can prove that a secret was never stored.
    A store that tidies up when it is read has a method ``look`` that does not.
    """
    look: Callable[[], Awaitable[Stored]] = getattr(store, "look", store.read)
    return await look()


@runtime_checkable
class VersionedStore(Store, Protocol):
    """A store that keeps the secret before the current one, so that `abort` can go back to it."""

    async def previous(self) -> Stored:
        """Return the secret before the current one; none, if the store keeps none.

        Raises:
            StoreError: it cannot be read.

        """


@runtime_checkable
class IdentifiedStore(Store, Protocol):
    """A store that can tell its place from another one at the same address.

    A place is the account, the mount, the cluster or the database that the secret is in. If a
    process dies while it writes, a sweep reads the store. If the secret is not there, and this is
    the same place, then the secret was never stored, and its key can be deleted. If this is another
    place, a person must decide.
    """

    async def identity(self) -> str:
        """Return what this place has and no other. No secret.

        It stays the same when the secret is written, replaced or removed.

        Raises:
            StoreError: it cannot be found out.

        """


@runtime_checkable
class RecognizableStore(Store, Protocol):
    """A store that can be told from another one at its address, when its writer has died.

    Without that, a secret that is not there proves nothing: the disk may not be mounted, the file
    renamed, the keyring another one. It helps a store that `open_store` knows, for a sweep opens
    it by its address. `IdentifiedStore` is the simple way; this one is for a store that must note
    something in the very moment before it is changed.
    """

    async def write_noted(
        self, secret: Secret, *, expected: Expected = ANY, note: Callable[[Found], object]
    ) -> Version:
        """Do as `write`, and call *note* directly before the store is changed.

        It is called in a thread, and may wait for a disk. If it raises `StoreError`, that goes
        through, and nothing is changed.
        """

    async def is_as_found(self, found: Found) -> bool:
        """Return whether this is the very place of the note.

        Only then a secret that it does not hold is not kept: it was never written there, or it was
        replaced or removed. If that cannot be told, return False. `read` may remove what this looks
        at, so call this first.

        Raises:
            StoreError: the place cannot be looked at.

        """


def late_write(store: Store) -> float:
    """Return for how many seconds a write may still arrive whose process has died."""
    return float(getattr(store, "late_write", 0.0))


async def found_at(store: Store) -> Found | None:
    """Return which place an `IdentifiedStore` is; None if that cannot be told."""
    if isinstance(store, IdentifiedStore):
        with contextlib.suppress(StoreError):
            return Found(store.describe(), await store.identity())
    return None


async def is_as_found(store: Store, found: Found) -> bool:
    """Return whether a store is the very place of a note. If that cannot be told, it is not.

    Raises:
        StoreError: the place cannot be looked at.

    """
    if isinstance(store, RecognizableStore):
        return await store.is_as_found(found)
    return isinstance(store, IdentifiedStore) and await store.identity() == found.state
