"""Run the machine's commands that concern a service. A failure is returned as an event."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from agentkeys.credentials import name_of_digest
from agentkeys.errors import (
    AgentKeysError,
    AuthenticationError,
    DeadlineExceededError,
    NotFoundError,
    PermissionDeniedError,
)
from agentkeys.lifecycle.driving.callbacks import Announcement, announce
from agentkeys.lifecycle.driving.driver import check_held
from agentkeys.lifecycle.journal import LostError
from agentkeys.lifecycle.machine import commands, events
from agentkeys.lifecycle.machine.moments import Moment, now
from agentkeys.lifecycle.machine.states import Ousting, Retiring
from agentkeys.transport.collection import Keys

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

    from agentkeys.cancellation import Waiting
    from agentkeys.keys import Key, KeyCollection, NewKey, Scope
    from agentkeys.lifecycle.driving.callbacks import Then
    from agentkeys.lifecycle.journal import Owned
    from agentkeys.lifecycle.machine.commands import (
        Command,
    )
    from agentkeys.lifecycle.machine.events import (
        Event,
    )
    from agentkeys.lifecycle.machine.states import Entry, KeyId, Replaced
    from agentkeys.secret import Secret

__all__ = ["Listing", "ServiceHands", "digest_of", "reads_its_token_from"]

KeyT = TypeVar("KeyT", bound="Key[Any]")
T = TypeVar("T")

# Credentials that get one of these errors see no keys there, and can create none.
_NOT_OURS: Final = (AuthenticationError, PermissionDeniedError, NotFoundError)


def digest_of(secret: Secret) -> str:
    """Return the SHA-256 of a secret in hexadecimal. A key is random: this reveals nothing."""
    return hashlib.sha256(secret.reveal().encode("utf-8", "surrogatepass")).hexdigest()


def reads_its_token_from(keys: Keys[Any], store: str) -> bool:
    """Whether the client of these keys takes its token from that store."""
    return getattr(keys._credentials, "address", None) == store  # noqa: SLF001


@attrs.frozen
class Listing(Generic[KeyT]):
    """A listing of keys.

    Attributes:
        keys: the keys.
        asked: when the request began. A later key may be missing.
    """

    keys: tuple[KeyT, ...]
    asked: Moment

    def named(self, name: str) -> tuple[KeyT, ...]:
        """Return the keys with exactly this name."""
        return tuple(key for key in self.keys if key.name == name)

    def ids(self, name: str) -> tuple[KeyId, ...]:
        """Return the ids of the keys with exactly this name."""
        return tuple(key.id for key in self.named(name))


class ServiceHands(Generic[KeyT]):
    """Runs the commands that all drives have in common."""

    def __init__(
        self,
        keys: KeyCollection[Any, KeyT, NewKey[Any]],
        scope: Scope,
        waiting: Waiting,
        then: Then | None = None,
    ) -> None:
        self.keys = keys
        self.waiting = waiting
        self._then = then
        self._scope = scope

    async def do(self, owned: Owned, command: Command) -> Event:
        """Run a command; see `driver.Hands`."""
        entry = owned.entry
        match command:
            case commands.Find():
                return await self._find(entry)
            case commands.Delete(ids):
                return await self._delete(owned, ids)
            case commands.Weed(but):
                return await self._weed(owned, but)
            case commands.Look(late):
                return await self._look(entry, late=late)
            case commands.Announce():
                return await self._announce(owned)
            case commands.Watch(force):
                return await self._watch(entry, entry.replaced, force=force)
        raise AssertionError(f"unexpected command {command!r}")

    async def lost(self, owned: Owned) -> tuple[Entry | None, str]:
        """Do nothing: a deletion that comes too late is one that was proven; see `driver.Hands`."""
        return owned.entry, ""

    async def listed(self) -> Listing[KeyT]:
        """List the keys.

        Raises:
            AgentKeysError: they could not be listed in time.
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
            return events.CannotList(error, refused=is_theirs)
        # After a request there is a token, which may hold more names of the account.
        return events.Listed(listing.ids(entry.name), self._is_own(entry), listing.asked)

    async def _delete(self, owned: Owned, ids: tuple[KeyId, ...]) -> Event:
        try:
            await self._delete_all(owned, ids)
        except LostError:
            raise
        except AgentKeysError as error:
            return events.NotDeleted(error, ids)
        return events.Deleted(ids)

    async def _weed(self, owned: Owned, but: KeyId | None) -> Event:
        if not self._is_own(owned.entry):
            return events.NotWeeded()
        try:
            named = (await self.listed()).ids(owned.entry.name)
            ids = tuple(key_id for key_id in named if key_id != but)
            await self._delete_all(owned, ids)
        except LostError:
            raise
        except AgentKeysError as error:
            return events.NotWeeded(error)
        return events.Weeded(ids)

    async def _delete_all(self, owned: Owned, ids: tuple[KeyId, ...]) -> None:
        for key_id in ids:
            check_held(owned)
            try:
                deletion = self.keys.delete(key_id, timeout=self.waiting.left())
                await self._in_time(deletion, "the key was not deleted in the time that was left")
            except NotFoundError:  # it is deleted already
                continue

    async def _look(self, entry: Entry, *, late: bool) -> Event:
        raise NotImplementedError

    async def _announce(self, owned: Owned) -> Event:
        if self._then is None:
            return events.NotAnnounced()
        plan, replaced = owned.entry.plan, owned.entry.replaced
        told = Announcement(owned.id, plan.name, owned.entry.key_id, replaced.key_id, plan.store)
        try:
            # A callback that hangs must leave some time for the other entries.
            telling = announce(self._then, told)
            why = await self.waiting.result(telling, most=self.waiting.half())
        except TimeoutError:
            why = "it took too long"
        return events.Announced() if why is None else events.NotAnnounced(AgentKeysError(why))

    async def _watch(self, entry: Entry, replaced: Replaced, *, force: bool) -> Event:
        try:
            listing = await self.listed()
        except AgentKeysError as error:
            return events.CannotList(error)
        named = (key for key in listing.named(replaced.name) if key.id == replaced.key_id)
        key = next(named, None)
        # After a service was set up anew, the id may belong to another key.
        new = [each for each in listing.named(entry.name) if entry.key_id in {None, each.id}]
        # Not every service reports the last use.
        used: datetime | None = getattr(key, "used_at", None)
        return events.Watched(
            key is not None,
            bool(new),
            self._is_own(entry),
            None if used is None else used.timestamp(),
            listing.asked,
            force,
        )

    def _is_own(self, entry: Entry) -> bool:
        """Whether these credentials see all keys that the entry's credentials could see.

        A new key that the client uses as its token does, because it was created among these keys.
        """
        own = self._scope.named_as(self.keys.scope)
        if entry.plan.scope.is_of(own):
            return True
        digest = getattr(entry.state, "digest", "")
        is_there = digest and isinstance(entry.state, Retiring | Ousting)
        return bool(is_there) and name_of_digest(digest) in {own.account, *own.also}

    async def _in_time(self, work: Coroutine[Any, Any, T], late: str) -> T:
        try:
            return await self.waiting.result(work)
        except TimeoutError as error:
            own = error if isinstance(error, DeadlineExceededError) else None
        raise own or DeadlineExceededError(late)
