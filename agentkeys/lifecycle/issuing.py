"""`issue`: exactly one key, whose secret is in a store before the call returns."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import random
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from agentkeys.errors import (
    AgentKeysError,
    DeadlineExceededError,
    InvalidArgumentError,
    OrphanKeyError,
    StoreError,
    UncertainCreateError,
)
from agentkeys.lifecycle import attempts, recovery
from agentkeys.lifecycle.budget import Budget
from agentkeys.lifecycle.keeping import Keeping
from agentkeys.lifecycle.naming import new_nonce, with_nonce
from agentkeys.lifecycle.sweeping import sweep_own
from agentkeys.secret import mask
from agentkeys.stores import Store, open_store
from agentkeys.transport import check
from agentkeys.transport.answer import DOUBT, STORE_IT
from agentkeys.transport.shelter import Shelter

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from agentkeys.keys import Key, KeyCollection, NewKey, Scope
    from agentkeys.lifecycle.attempts import HeldAttempt
    from agentkeys.secret import Secret

__all__ = ["Issued", "issue"]

KeyT = TypeVar("KeyT", bound="Key[Any]")
ErrorT = TypeVar("ErrorT", bound=AgentKeysError)

logger: Final = logging.getLogger("agentkeys")

_HOW_TO_FINISH: Final = "`agentkeys sweep` deletes it when the service answers again"


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


async def issue(
    keys: KeyCollection[Any, KeyT, NewKey[Any]],
    name: str,
    *,
    into: Store | str,
    exact_name: bool = False,
    replace: bool = False,
    timeout: float | None = None,
    scope: Scope | None = None,
    **options: Any,
) -> Issued[KeyT]:
    """Make exactly one key, and put its secret into a store before this returns.

    The store is probed first. The key's name gets a nonce (``billing-bot~k7f3q9``), by which a key
    that a lost answer leaves behind is found and deleted, before another one is made. A file in
    the user's state directory remembers the attempt, so that `sweep` can finish it if this process
    dies. If the call is cancelled when the request may be on its way, it runs on, until its
    deadline or for two seconds, whichever is sooner; then the cancellation goes on.

    Args:
        keys: where to make the key, e.g. ``agentity.api_keys``.
        name: what to call it; the nonce comes behind it.
        into: the store, or its address, like ``dotenv:.env#BILLING_BOT_KEY``.
        exact_name: make a key of this very name, without a nonce. Then a lost answer ends in an
            `UncertainCreateError`, and nothing is deleted.
        replace: replace a secret that the store holds; without it, such a store is refused.
        timeout: seconds for all of it; the client's own if None.
        scope: whose keys these are, for a service whose address changes; ``keys.scope`` if None.
        **options: what else `create` takes, e.g. ``permissions``.

    Raises:
        StoreError: the store cannot keep the secret; `StoreConflictError` if it holds one. There
            is no new key.
        OrphanKeyError: a key may be left that could not be deleted; `sweep` finishes it.
        UncertainCreateError: whether a key of the exact name was made is not known.
        RequestError: the service refused, or could not be reached. There is no new key, unless
            `applied` says otherwise.
        ConfigurationError, InvalidArgumentError: nothing was sent.

    """
    check.collection(keys, "issue", blocking=False)
    check.text("name", name)
    store = open_store(into) if isinstance(into, str) else into
    if not isinstance(store, Store):
        raise InvalidArgumentError(
            f"into must be a store or its address, not of type {type(store).__name__}"
        )
    seconds = keys.timeout if timeout is None else check.timeout(timeout)
    _check_options(keys.create, name, options)
    issuing = _Issuing(
        keys=keys,
        scope=scope or keys.scope,
        name=name,
        keeping=Keeping(store, replace=replace),
        exact_name=exact_name,
        options=options,
        budget=Budget(seconds),
    )
    return await issuing.shelter.run(
        lambda: issuing.within(seconds), seconds=seconds, leave=issuing.left
    )


def _check_options(create: Callable[..., object], name: str, options: dict[str, Any]) -> None:
    try:
        inspect.signature(create).bind(name, timeout=1.0, **options)
    except TypeError as error:
        reason = str(error)
    else:
        return
    raise InvalidArgumentError(f"these keys are not created with such arguments: {reason}")


@attrs.frozen
class _Failed:
    """An attempt that made no key, or whose key is deleted or may come later.

    Attributes:
        again: whether another attempt may do better.
    """

    error: AgentKeysError
    again: bool = False


class _Issuing(Generic[KeyT]):
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
        self._keys = keys
        self._scope = scope
        self._name = name
        self._keeping = keeping
        self._exact_name = exact_name
        self._options = options
        self._budget = budget
        self._held: HeldAttempt | None = None
        self._is_asked = False  # whether the service may have heard of the attempt at hand
        self._recovered: list[str | int] = []
        self._unseen: list[str] = []  # what a slow service may yet make
        self.shelter = Shelter()

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
        raise self._late(seconds)

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
        if is_over and not isinstance(task.exception(), OrphanKeyError):
            return
        if self._unseen or self._may_be_left():
            logger.warning(
                "issuing the key %r was cancelled, and a key may be left whose secret is not"
                " stored: %s",
                mask(self._name),
                _HOW_TO_FINISH,
            )

    async def _issued(self) -> Issued[KeyT]:
        await self._keeping.check()
        await sweep_own(self._keys, self._scope, self._budget)
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
        held = await attempts.in_thread(lambda: self._begun(name, nonce))
        made = await self._created(name)
        if not isinstance(made, AgentKeysError):
            failure = await self._kept(held, made.id, made.secret)
            return self._done(made.listed()) if failure is None else _Failed(failure)
        secret: Secret | None = getattr(made, "salvaged", None)
        if secret is not None:
            return await self._salvaged(held, secret, made)
        if getattr(made, "applied", "no") == "no":
            held.finish()
            return _Failed(made)
        if self._exact_name:
            return _Failed(await self._uncertain(made, before))
        return await self._cleared(held, made)

    def _begun(self, name: str, nonce: str | None) -> HeldAttempt:
        # Known from here on, even if who waits for this is cancelled.
        self._is_asked = False
        self._held = attempts.begin(self._scope, name, nonce)
        return self._held

    async def _created(self, name: str) -> NewKey[Any] | AgentKeysError:
        # Half of the time that is left, so that there is always some for the recovery.
        seconds = self._budget.half()
        self._is_asked = True
        try:
            return await self._keys.create(name, timeout=seconds, **self._options)
        except AgentKeysError as error:
            return error
        except BaseException:
            self._is_asked = self.shelter.is_under_way
            raise

    async def _kept(
        self, held: HeldAttempt, key_id: str | int | None, secret: Secret
    ) -> AgentKeysError | None:
        """Store the secret; if that fails, delete the key, and return why."""
        failure = await self._noted(held, key_id, secret)
        if failure is None:
            failure = await self._keeping.keep(secret, self._budget.half())
        if failure is None:
            held.finish()
            return None
        return await self._taken_back(held, key_id, failure)

    async def _noted(
        self, held: HeldAttempt, key_id: str | int | None, secret: Secret
    ) -> StoreError | None:
        try:
            await attempts.in_thread(lambda: held.receive(key_id, self._keeping.address, secret))
        except OSError as error:
            reason = error.strerror or type(error).__name__
        else:
            return None
        # Without the note a sweep would delete the key by its name, be it stored or not.
        return StoreError(
            f"the attempt cannot be noted in {held.path}: {reason}", store=self._keeping.place
        )

    async def _taken_back(
        self, held: HeldAttempt, key_id: str | int | None, failure: StoreError
    ) -> AgentKeysError:
        """Delete a key whose secret could not be stored."""
        try:
            gone = await self._deleted(held, key_id)
        except AgentKeysError as error:
            reason = str(error)
        else:
            if gone:
                held.finish()
                return _retold(failure, "the key was deleted again")
            reason = "it is not in the list"
        return self._orphan(failure, f"and the key could not be deleted: {reason}", held)

    async def _deleted(self, held: HeldAttempt, key_id: str | int | None) -> bool:
        if key_id is not None:
            await recovery.delete(self._keys, key_id, self._budget)
            return True
        if held.attempt.nonce is None:
            return False
        return bool(await self._delete_named(held.attempt.name))

    async def _salvaged(
        self, held: HeldAttempt, secret: Secret, error: AgentKeysError
    ) -> Issued[KeyT] | _Failed:
        """Store the secret of an answer that cannot be read, then complain about the answer."""
        failure = await self._kept(held, None, secret)
        if failure is not None:
            return _Failed(failure)
        complaint = _retold(error, f"but the key's secret is stored: {self._keeping.place}")
        try:
            found = await recovery.named(self._keys, held.attempt.name, self._budget)
        except AgentKeysError:
            found = []
        if self._exact_name or not found:
            return _Failed(complaint)
        logger.warning("%s", complaint)
        return self._done(found[0])

    async def _cleared(self, held: HeldAttempt, error: AgentKeysError) -> _Failed:
        """Delete what an answer that was lost may have left behind."""
        try:
            found = await self._delete_named(held.attempt.name)
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
        return _Failed(self._orphan(error, f"and then: {reason}", held))

    async def _delete_named(self, name: str) -> list[str | int]:
        found = await recovery.named(self._keys, name, self._budget)
        for key in found:
            await recovery.delete(self._keys, key.id, self._budget)
        return [key.id for key in found]

    async def _uncertain(
        self, error: AgentKeysError, before: Container[str | int]
    ) -> UncertainCreateError:
        candidates: tuple[str | int, ...] = ()
        try:
            found = await recovery.named(self._keys, self._name, self._budget)
        except AgentKeysError as failure:
            said = f"the keys could not be listed: {failure}"
        else:
            candidates = tuple(key.id for key in found if key.id not in before)
            said = f"new keys of that name: {', '.join(map(str, candidates)) or 'none yet'}"
        return UncertainCreateError(
            f"{_fact(error)}: whether the key {mask(self._name)!r} was made is not known; {said}:"
            " delete what nobody holds, and issue it again",
            name=self._name,
            candidates=candidates,
            **_request_of(error),
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
        if not failed.again:
            return failed.error
        if self._unseen:
            return self._orphan(failed.error, "a slow service may make the key yet")
        failed.error.applied = "no"  # type: ignore[attr-defined]  # only errors of requests are tried again
        return _retold(failed.error, "the key that was left was deleted")

    def _late(self, seconds: float) -> AgentKeysError:
        late = DeadlineExceededError(
            f"the key {mask(self._name)!r} was not issued within {seconds:g} s: give it a longer"
            " timeout",
            applied="no",
        )
        if self._unseen or self._may_be_left():
            return self._orphan(late, "and it was not finished", self._held)
        return late

    def _may_be_left(self) -> bool:
        return self._held is not None and not self._held.is_finished and self._is_asked

    def _orphan(
        self, error: AgentKeysError, more: str, held: HeldAttempt | None = None
    ) -> OrphanKeyError:
        names = [*self._unseen, *([held.attempt.name] if held else [])]
        received = None if held is None else held.attempt.received
        key_id = None if received is None else received.key_id
        which = ", ".join(repr(mask(name)) for name in dict.fromkeys(names))
        which += "" if key_id is None else f", id {key_id}"
        return OrphanKeyError(
            f"{_fact(error)}; {more}; so a key may be left ({which}): {_HOW_TO_FINISH}",
            name=names[-1],
            key_id=key_id,
            **{**_request_of(error), "applied": "maybe" if received is None else "yes"},
        )

    async def _ids_of_the_name(self) -> frozenset[str | int]:
        found = await recovery.named(self._keys, self._name, self._budget)
        return frozenset(key.id for key in found)


def _fact(error: AgentKeysError) -> str:
    """Return what *error* says happened, without its advice on what we have done already."""
    return str(error).removesuffix(DOUBT).removesuffix(STORE_IT).rstrip(": ")


def _retold(error: ErrorT, more: str) -> ErrorT:
    error.args = (f"{_fact(error)}; {more}",)
    return error


def _request_of(error: AgentKeysError) -> dict[str, Any]:
    names = ("method", "path", "attempts", "applied")
    return {name: getattr(error, name) for name in names if hasattr(error, name)}
