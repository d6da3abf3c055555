"""One call of `issue`: attempts, one after the other, until a key's secret is in its store."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from agentkeys.errors import (
    AgentKeysError,
    APIError,
    DeadlineExceededError,
    OrphanKeyError,
    StoreError,
    UncertainCreateError,
)
from agentkeys.keys import Keys, whose
from agentkeys.lifecycle import attempts, disk, recovery, wording
from agentkeys.lifecycle.attempts import HeldAttempt
from agentkeys.lifecycle.naming import new_nonce, with_nonce
from agentkeys.lifecycle.sweeping import sweep_own
from agentkeys.secret import mask
from agentkeys.transport.shelter import Shelter

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from agentkeys.keys import Key, KeyCollection, NewKey, Scope
    from agentkeys.lifecycle.budget import Budget
    from agentkeys.lifecycle.keeping import Keeping
    from agentkeys.secret import Secret
    from agentkeys.stores.contract import Found

__all__ = ["Issued", "Issuing"]

KeyT = TypeVar("KeyT", bound="Key[Any]")

logger: Final = logging.getLogger("agentkeys")

_LOOK: Final = "list the keys of that name, and delete what nobody holds"
_HOW_TO_FINISH: Final = "run `agentkeys sweep` when the service answers again"


@attrs.frozen
class Issued(Generic[KeyT]):
    """A key that was issued, and whose secret is in a store.

    Attributes:
        key: the key as it is listed, without its secret.
        store: where the secret lies, in words.
        recovered: the ids of keys that lost answers had left behind, and that were deleted.
    """

    key: KeyT
    store: str
    recovered: tuple[str | int, ...] = ()


@attrs.frozen
class _Failed:
    """An attempt that made no key, or whose key is deleted or may come later.

    Attributes:
        again: whether another attempt may do better.
    """

    error: AgentKeysError
    again: bool = False


class Issuing(Generic[KeyT]):
    """One call of `issue`: attempts, one after the other, until a secret is stored."""

    def __init__(
        self,
        *,
        keys: KeyCollection[Any, KeyT, NewKey[Any]],
        scope: Scope,
        name: str,
        keeping: Keeping,
        exact_name: bool,
        options: dict[str, Any],
        budget: Budget,
    ) -> None:
        self.shelter = Shelter()
        # What is no collection of ours has a shelter of its own, of which nothing is known here.
        self._keys = keys._sheltered(self.shelter) if isinstance(keys, Keys) else keys  # noqa: SLF001
        self._scope = scope
        self._name = name
        self._keeping = keeping
        self._exact_name = exact_name
        self._options = options
        self._budget = budget
        self._held: HeldAttempt | None = None
        self._key_id: str | int | None = None  # of the attempt at hand, if its answer told
        self._is_asked = False  # whether the service may have heard of the attempt at hand
        self._recovered: list[str | int] = []
        self._unseen: list[str] = []  # what a slow service may yet make
        # What there is to say once the secret is stored: then nothing is late any more.
        self._settled: Issued[KeyT] | AgentKeysError | None = None

    async def within(self, seconds: float) -> Issued[KeyT]:
        """Do all of it in so many seconds."""
        limit = asyncio.timeout(None if seconds == math.inf else seconds)
        try:
            async with limit:
                return await self._issued()
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            del limit  # it knows the task, and that would keep its error, whose traceback has this
            self._let_go()
        if isinstance(self._settled, Issued):
            return self._settled
        raise self._settled or self._late(seconds)

    def _let_go(self) -> None:
        """Leave what is not finished to whoever sweeps."""
        held = self._held
        if held is None:
            return
        if self._is_asked:
            held.release()
        else:
            held.finish()

    async def left(self, task: asyncio.Task[Issued[KeyT]], _: float) -> None:
        """Say what a cancelled call may have left behind."""
        is_over = task.done() and not task.cancelled()
        if is_over and not isinstance(task.exception(), OrphanKeyError | UncertainCreateError):
            return
        if self._unseen or self._may_be_left():
            logger.warning(
                "issuing the key %r was cancelled, and a key may be left whose secret is not"
                " stored: %s",
                mask(self._name),
                _LOOK if self._is_nameless() else _HOW_TO_FINISH,
            )

    async def _issued(self) -> Issued[KeyT]:
        # First, for a probe removes what a writer has left who died, and it may be a proof.
        await sweep_own(self._keys, self._scope, self._budget)
        await self._keeping.check()
        # Before anything is noted: the attempt must be known as this account's own ever after.
        self._scope = await whose(self._keys, self._scope, self._budget.left())
        before = await self._ids_of_the_name() if self._exact_name else ()
        tried = 0
        while True:
            tried += 1
            outcome = await self._attempt(before)
            if isinstance(outcome, Issued):
                return outcome
            if not await self._waited(outcome, tried):
                try:
                    raise self._given_up(outcome)
                finally:
                    del outcome  # or error, traceback and this frame would keep each other alive

    async def _attempt(self, before: Container[str | int]) -> Issued[KeyT] | _Failed:
        nonce = None if self._exact_name else new_nonce()
        name = self._name if nonce is None else with_nonce(self._name, nonce)
        held = await self._begun(name, nonce)
        made = await self._created(name)
        if not isinstance(made, AgentKeysError):
            failure = await self._kept(held, made.id, made.secret)
            return await self._stored(held, made) if failure is None else _Failed(failure)
        secret: Secret | None = getattr(made, "salvaged", None)
        if secret is not None:
            return await self._salvaged(held, secret, made)
        if getattr(made, "applied", "no") == "no":
            return await self._refused(held, made)
        if self._exact_name:
            return _Failed(await self._uncertain(made, before))
        return await self._cleared(held, made)

    async def _begun(self, name: str, nonce: str | None) -> HeldAttempt:
        begin = partial(attempts.begin, self._scope, name, nonce, seconds=self._budget.half())
        # Nothing has been sent by then, if who waits for it is cancelled.
        held = await disk.in_thread(begin, undo=HeldAttempt.finish)
        self._is_asked = False
        self._key_id = None
        self._held = held
        return held

    async def _created(self, name: str) -> NewKey[Any] | AgentKeysError:
        # Half of the time that is left, so that there is always some for the recovery.
        seconds = self._budget.half()
        self._is_asked = True
        try:
            return await self._keys.create(name, timeout=seconds, **self._options)
        except AgentKeysError as error:
            return error
        except BaseException:
            self._is_asked = self.shelter.progress is None or self.shelter.is_under_way
            raise

    async def _kept(
        self, held: HeldAttempt, key_id: str | int | None, secret: Secret
    ) -> AgentKeysError | None:
        """Store the secret; if that fails, delete the key, and return why."""
        self._key_id = key_id
        note = partial(self._note, held, key_id, secret)
        failure = await self._keeping.keep(secret, self._budget.half(), note)
        if failure is None:
            held.finish()
            return None
        return await self._taken_back(held, key_id, failure)

    def _note(
        self, held: HeldAttempt, key_id: str | int | None, secret: Secret, found: Found | None
    ) -> None:
        try:
            held.receive(key_id, self._keeping.address, secret, found)
        except OSError as error:
            reason = error.strerror or type(error).__name__
        else:
            return
        # Without the note a sweep would delete the key by its name, be it stored or not.
        raise StoreError(
            f"the attempt cannot be noted in {wording.shown(held.path)}: {reason}",
            store=self._keeping.place,
        )

    async def _taken_back(
        self, held: HeldAttempt, key_id: str | int | None, failure: StoreError
    ) -> AgentKeysError:
        """Delete a key whose secret could not be stored."""
        found = [] if key_id is None else [key_id]
        reason = "it is not known which one it is"
        try:
            if not found and held.attempt.nonce is not None:
                found = await self._ids_named(held.attempt.name)
            await self._delete(found)
        except AgentKeysError as error:
            reason = str(error)
        else:
            if found:
                held.finish()
                return wording.retold(failure, "the key was deleted again")
        return self._orphan(failure, f"and the key could not be deleted: {reason}", found)

    async def _salvaged(
        self, held: HeldAttempt, secret: Secret, error: AgentKeysError
    ) -> Issued[KeyT] | _Failed:
        """Store the secret of an answer that cannot be read, then complain about the answer."""
        failure = await self._kept(held, None, secret)
        if failure is not None:
            return _Failed(failure)
        complaint = wording.retold(error, f"but the key's secret is stored: {self._keeping.place}")
        complaint.applied = "yes"  # type: ignore[attr-defined]  # only errors of requests salvage
        self._settled = complaint
        try:
            found = await recovery.named(self._keys, held.attempt.name, self._budget)
        except AgentKeysError:
            found = []
        if self._exact_name or not found:
            return _Failed(complaint)
        logger.warning("%s", complaint)
        return self._done(found[0])

    async def _stored(self, held: HeldAttempt, made: NewKey[Any]) -> Issued[KeyT]:
        """Delete what a try may have made that was refused all the same, and return the key."""
        self._settled = self._done(made.listed())
        progress = self.shelter.progress
        if held.attempt.nonce is None or progress is None or progress.attempts == 1:
            return self._settled
        with suppress(AgentKeysError):
            twins = [key for key in await self._ids_named(held.attempt.name) if key != made.id]
            await self._delete(twins)
            self._recovered.extend(twins)
        return self._done(made.listed())

    async def _refused(self, held: HeldAttempt, error: AgentKeysError) -> _Failed:
        """Look whether the key was made all the same, e.g. for a proxy that asked before."""
        given = (
            error if self._exact_name else wording.with_length(error, held.attempt.name, self._name)
        )
        if held.attempt.nonce is None or not isinstance(error, APIError):
            held.finish()
            return _Failed(given)
        found: list[str | int] = []
        try:
            found = await self._ids_named(held.attempt.name)
            await self._delete(found)
        except AgentKeysError as failure:
            if found:
                return _Failed(self._orphan(error, f"it was made all the same; {failure}", found))
            if isinstance(failure, APIError) and failure.applied == "no":
                held.finish()  # these keys are not ours to see, nor to make
            return _Failed(given)
        held.finish()
        self._recovered.extend(found)
        return _Failed(error, again=True) if found else _Failed(given)

    async def _cleared(self, held: HeldAttempt, error: AgentKeysError) -> _Failed:
        """Delete what an answer that was lost may have left behind."""
        found: list[str | int] = []
        try:
            found = await self._ids_named(held.attempt.name)
            await self._delete(found)
        except AgentKeysError as failure:
            reason = str(failure)
        else:
            if found:
                self._recovered.extend(found)
                held.finish()
            else:
                self._unseen.append(held.attempt.name)
                held.release()
            return _Failed(error, again=True)
        return _Failed(self._orphan(error, f"and then: {reason}", found))

    async def _delete(self, ids: Iterable[str | int]) -> None:
        for key_id in ids:
            await recovery.delete(self._keys, key_id, self._budget)

    async def _uncertain(
        self, error: AgentKeysError, before: Container[str | int]
    ) -> UncertainCreateError:
        candidates: tuple[str | int, ...] = ()
        try:
            found = await self._ids_named(self._name)
        except AgentKeysError as failure:
            said = f"the keys could not be listed: {failure}"
        else:
            candidates = tuple(key_id for key_id in found if key_id not in before)
            said = f"new keys of that name: {', '.join(map(str, candidates)) or 'none yet'}"
        return self._unknown(error, said, candidates)

    def _unknown(
        self, error: AgentKeysError, said: str, candidates: tuple[str | int, ...] = ()
    ) -> UncertainCreateError:
        return UncertainCreateError(
            f"{wording.fact(error)}: whether the key {mask(self._name)!r} was made is not known;"
            f" {said}: delete what nobody holds, and issue it again",
            name=self._name,
            candidates=candidates,
            **{**wording.request_of(error), "applied": "maybe"},
        )

    async def _waited(self, failed: _Failed, tried: int) -> bool:
        """Wait for the next attempt; False if there is none."""
        if not failed.again or self.shelter.is_left:
            return False
        seconds = self._keys.retry.wait_after(
            tried,
            asked=getattr(failed.error, "retry_after", None),
            chance=random.random(),  # noqa: S311  # jitter needs no cryptography
        )
        if seconds is None or seconds >= self._budget.left():
            return False
        self.shelter.progress = None  # nothing is under way any more
        await asyncio.sleep(seconds)
        return True

    def _done(self, key: Any) -> Issued[KeyT]:
        return Issued(key, self._keeping.place, tuple(self._recovered))

    def _given_up(self, failed: _Failed) -> AgentKeysError:
        error = failed.error
        if self._unseen and not isinstance(error, OrphanKeyError):
            return self._orphan(error, "a slow service may make the key yet")
        if not failed.again:
            return error
        error.applied = "no"  # type: ignore[attr-defined]  # only errors of requests are tried again
        return wording.retold(error, "the key that was left was deleted")

    def _late(self, seconds: float) -> AgentKeysError:
        late = DeadlineExceededError(
            f"the key {mask(self._name)!r} was not issued within {seconds:g} s: give it a longer"
            " timeout",
            applied="no",
        )
        if self._is_nameless():
            return self._unknown(late, "the keys were not listed")
        if self._unseen or self._may_be_left():
            return self._orphan(late, "and it was not finished")
        return late

    def _may_be_left(self) -> bool:
        return self._held is not None and not self._held.is_finished and self._is_asked

    def _is_nameless(self) -> bool:
        """Whether a key may be left that neither its name nor its id tells from others."""
        return self._exact_name and self._may_be_left() and self._key_id is None

    def _orphan(
        self, error: AgentKeysError, more: str, found: Sequence[str | int] = ()
    ) -> OrphanKeyError:
        names = list(self._unseen)
        key_id: str | int | None = None
        if self._held is not None and self._may_be_left():
            names.append(self._held.attempt.name)
            key_id = found[0] if found else self._key_id
        which = ", ".join(repr(mask(name)) for name in dict.fromkeys(names))
        which += "" if key_id is None else f", id {key_id}"
        how = _LOOK if key_id is None and self._is_nameless() else _HOW_TO_FINISH
        return OrphanKeyError(
            f"{wording.fact(error)}; {more}; so a key may be left ({which}): {how}",
            name=names[-1],
            key_id=key_id,
            **{**wording.request_of(error), "applied": "maybe" if key_id is None else "yes"},
        )

    async def _ids_of_the_name(self) -> frozenset[str | int]:
        return frozenset(await self._ids_named(self._name))

    async def _ids_named(self, name: str) -> list[str | int]:
        return [key.id for key in await recovery.named(self._keys, name, self._budget)]
