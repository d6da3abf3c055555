"""Create a key and store its secret. The secret is in this module only, and in no entry."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from agentkeys.errors import (
    AgentKeysError,
    APIError,
    Applied,
    DeadlineExceededError,
    StoreError,
    UncertainStoreError,
)
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.driver import not_noted
from agentkeys.lifecycle.driving.hands import Listing, ServiceHands, digest_of
from agentkeys.lifecycle.driving.looking import looked_again
from agentkeys.lifecycle.driving.undoing import Late, undone
from agentkeys.lifecycle.journal import LostError
from agentkeys.lifecycle.machine import commands, events
from agentkeys.lifecycle.machine.moments import elapsed, now
from agentkeys.lifecycle.machine.states import Kept, Ousting, Restoring, Retiring, Writing
from agentkeys.stores.contract import RecognizableStore
from agentkeys.stores.contract.protocol import found_at, look_into

if TYPE_CHECKING:
    from collections.abc import Coroutine

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
    from agentkeys.lifecycle.machine.moments import Moment
    from agentkeys.lifecycle.machine.states import Asking, Entry, KeyId
    from agentkeys.secret import Secret
    from agentkeys.stores import Store
    from agentkeys.stores.contract import Expected, Found, Stored
    from agentkeys.transport.call.progress import Shelter

__all__ = ["IssuingHands", "read", "store_failure"]

KeyT = TypeVar("KeyT", bound="Key[Any]")
T = TypeVar("T")

_TOO_LATE: Final = "the time was up before the service answered"


class IssuingHands(ServiceHands[KeyT]):
    """Creates keys, and stores the secret of one in the caller's store.

    Args:
        keys: the collection in which keys are created; its creates run in *shelter*.
        scope: the scope of the keys.
        waiting: the time limit of the call.
        store: the store for the secret.
        expected: what the store must hold before the write.
        shelter: the progress of the current create.
        options: the arguments of `create` beside the name.
        known: the ids of the keys of the exact name that existed before.

    Attributes:
        made: the current key without its secret, if its answer could be read.
        before: what the store held before, if that is to be there again when all is undone.
    """

    def __init__(
        self,
        keys: KeyCollection[Any, KeyT, NewKey[Any]],
        scope: Scope,
        waiting: Waiting,
        *,
        store: Store,
        expected: Expected,
        shelter: Shelter,
        options: dict[str, Any],
        then: Then | None = None,
    ) -> None:
        super().__init__(keys, scope, waiting, then)
        self._store = store
        self._expected: Expected = expected
        self._shelter = shelter
        self._options = options
        self._secret: Secret | None = None
        self.known: frozenset[KeyId] = frozenset()
        self.made: Any = None
        self.before: Secret | None = None
        self._has_written = self._is_unanswered = False

    async def do(self, owned: Owned, command: Command) -> Event:
        """Run a command; see `driver.Hands`."""
        match command:
            case commands.Create():
                return await self._create(owned.entry, owned.entry.state)  # type: ignore[arg-type]  # no other state asks
            case commands.Write(wanted):
                return await self._write(owned, wanted)
        return await super().do(owned, command)

    async def lost(self, owned: Owned) -> tuple[Entry | None, str]:
        """Take a secret out again that was written too late; see `driver.Hands`."""
        if not self._has_written or self._secret is None:
            return owned.entry, ""
        good = (Kept, Retiring, Ousting, Restoring)
        before, may_come = self.before, self._is_unanswered
        late = Late(self._store, self._secret, before, Writing, good, may_come)
        return await undone(late, owned, self.waiting)

    async def listed(self) -> Listing[KeyT]:
        """List the keys, without those of the exact name that existed before."""
        listing = await super().listed()
        fresh = tuple(key for key in listing.keys if key.id not in self.known)
        return Listing(fresh, listing.asked)

    async def _create(self, entry: Entry, asking: Asking) -> Event:
        self._secret = self.made = self._shelter.progress = None
        self._has_written = self._is_unanswered = False
        # If a sweep may have given this entry up by now, the new key would belong to no entry.
        waited = elapsed(asking.begun, now())
        if waited is None or waited > asking.seconds or self.waiting.cancellation is not None:
            return events.Unsent(DeadlineExceededError(_TOO_LATE, applied="no"))
        seconds = min(asking.seconds, self.waiting.half())
        making = self.keys.create(entry.name, timeout=seconds, **self._options)
        try:
            made = await self.waiting.result(making, runs_on=self._shelter.may_have_been_sent)
        except AgentKeysError as error:
            return self._not_made(error)
        except TimeoutError:
            applied: Applied = "maybe" if self._shelter.may_have_been_sent() else "no"
            return self._not_made(DeadlineExceededError(_TOO_LATE, applied=applied))
        self._secret, self.made = made.secret, self._as_returned(made)
        return events.Made(made.id, digest_of(made.secret), self._was_alone())

    def _as_returned(self, made: NewKey[Any]) -> Any:
        """Return the new key as the caller gets it: without its secret."""
        return made.listed()

    def _not_made(self, error: AgentKeysError) -> Event:
        salvaged: Secret | None = getattr(error, "salvaged", None)
        if salvaged is not None:
            self._secret = salvaged
            return events.Made(None, digest_of(salvaged), self._was_alone(), error)
        if getattr(error, "applied", "no") != "no":
            return events.Lost(error)
        # The call may have ended with another request: of a login after a rejected try.
        progress = self._shelter.progress
        refused = isinstance(error, APIError) if progress is None else progress.was_answered
        return events.Refused(error) if refused else events.Unsent(error)

    def _was_alone(self) -> bool:
        return self._shelter.progress is None or self._shelter.progress.attempts == 1

    async def _write(self, owned: Owned, wanted: Writing) -> Event:
        note = _Note(owned, wanted)
        seconds = self.waiting.half()
        failure: StoreError | None = None
        try:
            await self.waiting.result(self._written(note), most=seconds)
        except TimeoutError:
            failure = self._late(seconds)
        except Exception as error:  # noqa: BLE001  # the store may be third-party code, and its error may hold the secret
            failure = store_failure(self._store, error)
        self._has_written = note.closed()
        if not self._has_written:
            return events.NotNoted(failure, wanted=wanted)
        if failure is None:
            return events.Written()
        self._is_unanswered = isinstance(failure, UncertainStoreError)
        return events.WriteUnknown(failure) if self._is_unanswered else events.NotWritten(failure)

    async def _written(self, note: _Note) -> None:
        assert self._secret is not None  # noqa: S101  # only a key that was made is written
        if isinstance(self._store, RecognizableStore):
            await self._store.write_noted(self._secret, expected=self._expected, note=note)
            return
        found = await found_at(self._store)
        await disk.in_thread(partial(note, found))
        await self._store.write(self._secret, expected=self._expected)

    def _late(self, seconds: float) -> StoreError:
        # The store can only be read if it reports that its write is over (e.g. in a thread).
        is_known = self._store.readable and not getattr(self._store, "is_at_work", True)
        kind = StoreError if is_known else UncertainStoreError
        place = self._store.describe()
        return kind(
            f"{place} cannot keep the secret: it took more than {round(seconds, 2):g} s: set a"
            " longer timeout",
            store=place,
        )

    async def _look(self, entry: Entry, *, late: bool) -> Event:
        asked = now()
        if not isinstance(entry.state, Writing):
            looking = looked_again(self._store, entry, asked, late=late)
            return await self._looked(looking)
        if not self._store.readable:
            # If the store reports a failure, nothing more is known.
            return events.CannotLook() if late else events.Lacks(late, asked)
        return await self._looked(self._compared(asked, late=late))

    async def _compared(self, asked: Moment, *, late: bool) -> Event:
        stored = await self._store.read()
        return events.Holds() if stored.secret == self._secret else events.Lacks(late, asked)

    async def _looked(self, looking: Coroutine[Any, Any, Event]) -> Event:
        try:
            return await self.waiting.result(looking, most=self.waiting.half())
        except Exception as error:  # noqa: BLE001  # the store may be third-party code
            return events.CannotLook(store_failure(self._store, error))


class _Note:
    """Notes the state of a store right before it is written, once; then no more."""

    def __init__(self, owned: Owned, wanted: Writing) -> None:
        self._owned = owned
        self._wanted = wanted
        self._lock = threading.Lock()
        self._noted: Entry | None = None
        self._is_closed = False

    def __call__(self, found: Found | None) -> None:
        """Note it, in a thread; if this fails or is too late, the store must not be written."""
        state = attrs.evolve(self._wanted, found=found)
        entry = attrs.evolve(self._owned.entry, state=state)
        try:
            self._owned.note(entry)
        except OSError as error:
            failure = not_noted(self._owned, entry, error).error
        except LostError as error:
            failure = StoreError(str(error))
        else:
            with self._lock:
                if not self._is_closed:
                    self._noted = entry
                    return
            failure = StoreError(_TOO_LATE)
        raise failure  # type: ignore[misc]  # one of the two is set

    def closed(self) -> bool:
        """Stop further notes; return whether there was one."""
        with self._lock:
            self._is_closed = True
            noted = self._noted
        if noted is not None:
            self._owned.entry = noted
        return noted is not None


async def read(store: Store) -> Stored:
    """Return the content of a store; any failure is a `StoreError`."""
    try:
        return await look_into(store)
    except Exception as error:  # noqa: BLE001  # the store may be third-party code, and its error may hold the secret
        failure = store_failure(store, error, "be read")
    raise failure


def store_failure(store: Store, error: Exception, what: str = "keep the secret") -> StoreError:
    """Return a store's exception as an error of ours: a foreign exception may hold the secret."""
    if isinstance(error, StoreError):
        return error
    place = store.describe()
    reason = str(error) if isinstance(error, AgentKeysError) else type(error).__name__
    return StoreError(f"{place} cannot {what}: {reason}", store=place)
