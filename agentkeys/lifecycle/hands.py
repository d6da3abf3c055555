"""Runs the machine's commands that concern a service. What goes wrong comes back as an event."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from agentkeys.errors import (
    AgentKeysError,
    AuthenticationError,
    DeadlineExceededError,
    NotFoundError,
    PermissionDeniedError,
)
from agentkeys.lifecycle import steps
from agentkeys.lifecycle.moments import Moment, now

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentkeys.cancellation import Waiting
    from agentkeys.keys import Key, KeyCollection, NewKey, Scope
    from agentkeys.lifecycle.journal import Owned
    from agentkeys.lifecycle.states import Entry, KeyId
    from agentkeys.lifecycle.steps import Command, Event
    from agentkeys.secret import Secret

__all__ = ["Listing", "ServiceHands", "digest_of"]

KeyT = TypeVar("KeyT", bound="Key[Any]")
T = TypeVar("T")

# Who gets one of these sees no keys there, and can make none.
_NOT_OURS: Final = (AuthenticationError, PermissionDeniedError, NotFoundError)


def digest_of(secret: Secret) -> str:
    """Return the SHA-256 of a secret in hexadecimal. A key is random: it tells nothing of it."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


@attrs.frozen
class Listing(Generic[KeyT]):
    """What the service has listed.

    Attributes:
        keys: the keys.
        asked: when it was asked. What came later may not be in it.
    """

    keys: tuple[KeyT, ...]
    asked: Moment

    def named(self, name: str) -> tuple[KeyT, ...]:
        """Return the keys of that very name."""
        return tuple(key for key in self.keys if key.name == name)

    def ids(self, name: str) -> tuple[KeyId, ...]:
        """Return their ids."""
        return tuple(key.id for key in self.named(name))


class ServiceHands(Generic[KeyT]):
    """What is done with keys, whoever drives."""

    def __init__(
        self, keys: KeyCollection[Any, KeyT, NewKey[Any]], scope: Scope, waiting: Waiting
    ) -> None:
        self.keys = keys
        self.waiting = waiting
        self._scope = scope

    async def do(self, owned: Owned, command: Command) -> Event:
        """Run a command; see `driver.Hands`."""
        entry = owned.entry
        match command:
            case steps.Find():
                return await self._find(entry)
            case steps.Delete(ids):
                return await self._delete(ids)
            case steps.Weed(but):
                return await self._weed(entry, but)
            case steps.Look(late):
                return await self._look(entry, late=late)
        raise AssertionError(f"nobody does {command!r} here")

    async def listed(self) -> Listing[KeyT]:
        """List the keys.

        Raises:
            AgentKeysError: they cannot be listed in time.

        """
        asked = now()
        late = "the keys could not be listed in the time that was left"
        listing = self.keys.list(timeout=self.waiting.left()).collect()
        return Listing(tuple(await self._in_time(listing, late)), asked)

    async def _find(self, entry: Entry) -> Event:
        try:
            listing = await self.listed()
        except AgentKeysError as error:
            is_theirs = isinstance(error, _NOT_OURS) and self._is_own(entry)
            return steps.CannotList(error, refused=is_theirs)
        # Once a token is there, that tells more names of the account.
        return steps.Listed(listing.ids(entry.name), self._is_own(entry), listing.asked)

    async def _delete(self, ids: tuple[KeyId, ...]) -> Event:
        try:
            await self._delete_all(ids)
        except AgentKeysError as error:
            return steps.NotDeleted(error, ids)
        return steps.Deleted(ids)

    async def _weed(self, entry: Entry, but: KeyId | None) -> Event:
        if not self._is_own(entry):
            return steps.NotWeeded()
        try:
            named = (await self.listed()).ids(entry.name)
            ids = tuple(key_id for key_id in named if key_id != but)
            await self._delete_all(ids)
        except AgentKeysError as error:
            return steps.NotWeeded(error)
        return steps.Weeded(ids)

    async def _delete_all(self, ids: tuple[KeyId, ...]) -> None:
        for key_id in ids:
            try:
                deletion = self.keys.delete(key_id, timeout=self.waiting.left())
                await self._in_time(deletion, "the key was not deleted in the time that was left")
            except NotFoundError:  # as good
                continue

    async def _look(self, entry: Entry, *, late: bool) -> Event:
        raise NotImplementedError

    def _is_own(self, entry: Entry) -> bool:
        """Whether these credentials see all that the entry's could."""
        return entry.plan.scope.is_of(self._scope.named_as(self.keys.scope))

    async def _in_time(self, work: Coroutine[Any, Any, T], late: str) -> T:
        try:
            return await self.waiting.result(work)
        except TimeoutError as error:
            own = error if isinstance(error, DeadlineExceededError) else None
        raise own or DeadlineExceededError(late)
