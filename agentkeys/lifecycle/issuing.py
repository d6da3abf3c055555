"""`issue`: create exactly one key, and store its secret before the call returns."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import math
import random
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

import attrs

from agentkeys import arguments
from agentkeys.cancellation import GRACE, Waiting
from agentkeys.errors import (
    AgentKeysError,
    ConfigurationError,
    InvalidArgumentError,
    StoreConflictError,
)
from agentkeys.keys import Key, KeyCollection, NewKey, Scope, checked_collection
from agentkeys.lifecycle.driving import disk
from agentkeys.lifecycle.driving.driver import drive
from agentkeys.lifecycle.driving.making import IssuingHands, store_failure
from agentkeys.lifecycle.journal import Owned
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.commands import (
    Ending,
)
from agentkeys.lifecycle.machine.moments import now
from agentkeys.lifecycle.machine.naming import new_nonce, with_nonce
from agentkeys.lifecycle.machine.states import Asking, Entry, Plan
from agentkeys.lifecycle.outcomes import heard
from agentkeys.lifecycle.outcomes import issued as outcomes
from agentkeys.lifecycle.outcomes.results import Issued
from agentkeys.lifecycle.remembering import Given, opened, sealed
from agentkeys.lifecycle.sweeping import sweep_own
from agentkeys.masking import mask
from agentkeys.stores import ABSENT, ANY, Store, open_store
from agentkeys.stores.contract.protocol import late_write
from agentkeys.stores.installed import can_be_opened
from agentkeys.transport.call.progress import Shelter
from agentkeys.transport.collection import Keys, whose

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.journal import Journal
    from agentkeys.lifecycle.machine.states import KeyId
    from agentkeys.stores import Expected

__all__ = ["Issuing", "check", "check_options", "checked_store", "issue"]

KeyT = TypeVar("KeyT", bound="Key[Any]")

logger: Final = logging.getLogger("agentkeys")


async def issue(
    keys: KeyCollection[Any, KeyT, NewKey[Any]],
    name: str,
    *,
    into: Store | str,
    exact_name: bool = False,
    replace: bool = False,
    timeout: float | None = None,
    scope: Scope | None = None,
    journal: Given = None,
    **options: Any,
) -> Issued[KeyT]:
    """Create exactly one key, and store its secret before the call returns.

    The store is checked first. The key's name gets a nonce as a suffix (``billing-bot~k7f3q2``). If
    the answer is lost, the call finds the key by its nonce and deletes it, before it creates
    another one. The journal keeps an entry, so that `sweep` can finish the call if this process
    dies. If the call is cancelled after its request may have been sent, it continues until its
    deadline, but for two seconds at most; then it raises the cancellation.

    Args:
        keys: the collection in which to create the key, e.g. ``agentity.api_keys``.
        name: the name of the key; the nonce is added to it.
        into: the store, or its address, like ``dotenv:.env#BILLING_BOT_KEY``.
        exact_name: use the name exactly as given, without a nonce. Then a lost answer raises
            `UncertainCreateError`, and nothing is deleted.
        replace: overwrite the secret that the store holds; without it, a store that holds a secret
            is refused.
        timeout: seconds for the whole call; defaults to the client's timeout.
        scope: the scope of the keys, for a service whose address changes; defaults to
            ``keys.scope``.
        journal: what remembers the keys, or its address; that of the environment if None.
        **options: further arguments of `create`, e.g. ``permissions``.

    Raises:
        StoreError: the store cannot keep the secret; `StoreConflictError` if it holds one. There is
            no new key, except after `UncertainStoreError`: it is not known whether the store holds
            the secret, so the key is kept.
        OrphanKeyError: a key may be left that could not be deleted; `sweep` deletes it.
        UncertainCreateError: it is not known whether a key of the exact name was created.
        RequestError: the service refused, or could not be reached. There is no new key, unless
            `applied` says otherwise.
        ConfigurationError, InvalidArgumentError: no request was sent.
    """
    journal = sealed(journal)
    checked_collection(keys, "issue", blocking=False)
    name = arguments.text("name", name)
    store = checked_store(into)
    check_options(keys.create, name, options)
    issuing = Issuing(
        keys,
        Plan(scope or keys.scope, name, exact_name, store.address, late_write(store)),
        store,
        expected=ANY if replace or not store.readable else ABSENT,
        options=options,
        seconds=keys.timeout if timeout is None else arguments.timeout(timeout),
        journal=opened(journal),
    )
    return await issuing.issued()


class Issuing(Generic[KeyT]):
    """One call of `issue`: it drives one entry after the other, until a secret is stored."""

    _kind_of_hands: ClassVar[type[IssuingHands[Any]]] = IssuingHands

    def __init__(
        self,
        keys: KeyCollection[Any, KeyT, NewKey[Any]],
        plan: Plan,
        store: Store,
        *,
        expected: Expected,
        options: dict[str, Any],
        seconds: float,
        journal: Journal,
    ) -> None:
        self._waiting = Waiting(seconds)
        self._shelter = Shelter(self._waiting)
        self._keys = keys._sheltered(self._shelter) if isinstance(keys, Keys) else keys  # noqa: SLF001
        self._plan = plan
        self._store = store
        self._expected: Expected = expected
        self._options = options
        self._seconds = seconds
        self._journal = journal
        self._recovered: tuple[KeyId, ...] = ()
        self._late: list[str] = []  # the names of keys that a slow service may still make

    async def issued(self) -> Issued[KeyT]:
        """Run the whole call."""
        _, key = await self._ended()
        return Issued(key, self._store.describe(), self._recovered)

    async def _ended(self) -> tuple[Outcome, KeyT]:
        """Repeat until a secret is stored; return its key."""
        with self._waiting:
            hands = await self._prepared()
            tried = 0
            while True:
                tried += 1
                outcome = await drive(await self._begun(), events.Begin(), hands, self._waiting)
                self._recovered += heard.deleted(outcome)
                self._go_on_with_a_cancellation(outcome)
                if heard.is_stored(outcome):
                    return outcome, await self._key(outcome, hands)
                if not await self._waited(outcome, tried):
                    error = self._explained(outcome)
                    try:
                        raise error
                    finally:
                        del error  # or error, traceback and this frame would keep each other alive

    async def _prepared(self) -> IssuingHands[KeyT]:
        """Check that the store can keep a secret, and finish what others left in this scope."""
        limit = asyncio.timeout(None if self._seconds == math.inf else self._seconds)
        try:
            async with limit:
                return await self._looked_around()
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            task = asyncio.current_task()
            if limit.expired() and task is not None and not task.cancelling():
                self._waiting.cancellation = None  # the time limit cancelled it, not the caller
        raise outcomes.late(self._plan.name, self._seconds)

    async def _looked_around(self) -> IssuingHands[KeyT]:
        await self._sweep()
        await self._see_the_store()
        await self._see_whose()
        hands: IssuingHands[KeyT] = self._kind_of_hands(
            self._keys,
            self._plan.scope,
            self._waiting,
            store=self._store,
            expected=self._expected,
            shelter=self._shelter,
            options=self._options,
        )
        if self._plan.exact:
            hands.known = frozenset((await hands.listed()).ids(self._plan.name))
            self._waiting.raise_cancellation()
        return hands

    async def _sweep(self) -> None:
        # First, because the check of a store removes the leftovers of a dead writer, which may be a
        # proof.
        seconds = self._waiting.left() / 2
        await sweep_own(self._keys, self._plan.scope, seconds, self._journal)

    async def _see_the_store(self) -> None:
        await check(self._store, self._expected)
        _warn_if_lost(type(self._store), self._store.address.partition(":")[0])
        self._plan = attrs.evolve(self._plan, write_only=not self._store.readable)

    async def _see_whose(self) -> None:
        # Before anything is noted: the entry must show its account from the start.
        scope = await whose(self._keys, self._plan.scope, self._waiting.left())
        self._plan = attrs.evolve(self._plan, scope=scope)

    async def _begun(self) -> Owned:
        plan = self._plan
        name = plan.name if plan.exact else with_nonce(plan.name, new_nonce())
        entry = Entry(plan, name, Asking(now(), self._waiting.half()))
        begin = disk.in_thread(partial(self._journal.begin, entry), undo=Owned.forget)
        try:
            return await self._waiting.result(begin, least=GRACE)
        except TimeoutError:
            pass
        self._waiting.raise_cancellation()
        raise outcomes.late(plan.name, self._seconds)

    def _go_on_with_a_cancellation(self, outcome: Outcome) -> None:
        """Raise the cancellation if the caller was cancelled, and log what may be left."""
        if self._waiting.cancellation is None:
            return
        advice = outcomes.left_behind(outcome, self._late)
        if advice is not None:
            logger.warning(
                "issuing the key %r was cancelled, and a key may be left whose secret is not"
                " stored: %s",
                mask(self._plan.name),
                advice,
            )
        self._waiting.raise_cancellation()

    def _explained(self, outcome: Outcome) -> AgentKeysError:
        return outcomes.explain(outcome, self._late)

    async def _key(self, outcome: Outcome, hands: IssuingHands[KeyT]) -> KeyT:
        """Return the key; if the answer could not be read, raise its error."""
        complaint = outcomes.complaint(outcome, self._store.describe())
        if complaint is None:
            made: KeyT = hands.made
            return made
        found = await self._found(outcome.entry.name, hands)
        if found is None:
            raise complaint
        logger.warning("%s", complaint)
        return found

    async def _found(self, name: str, hands: IssuingHands[KeyT]) -> KeyT | None:
        """Return the listed key of that name, if the name proves that it is this one."""
        if self._plan.exact:
            return None
        try:
            return next(iter((await hands.listed()).named(name)), None)
        except AgentKeysError:
            return None

    async def _waited(self, outcome: Outcome, tried: int) -> bool:
        """Wait until another key may be created; return False if none may be."""
        if not heard.may_be_asked_again(outcome):
            return False
        seconds = self._keys.retry.wait_after(
            tried,
            asked=heard.asked_to_wait(outcome),
            chance=random.random(),  # noqa: S311  # jitter needs no cryptography
        )
        if seconds is None or seconds >= self._waiting.left():
            return False
        if outcome.ending is Ending.MAY_COME:
            self._late.append(outcome.entry.name)
        await asyncio.sleep(seconds)
        return True


@functools.cache  # once in a process
def _warn_if_lost(kind: type[Store], scheme: str) -> None:
    with contextlib.suppress(ConfigurationError):  # then it is not known
        if not can_be_opened(f"{scheme}:"):
            logger.warning(
                "no sweep can open a store of type %s by its address, so if this process is killed,"
                " you must check whether a secret was stored: declare the scheme of the address"
                " (see Write your own, on the page Stores)",
                kind.__name__,
            )


async def check(store: Store, expected: Expected) -> None:
    """Check that a store can keep a secret, and holds no secret that would be lost."""
    place = store.describe()
    try:
        await store.probe()
        objection = await _objection(store) if expected is ABSENT else None
    except Exception as error:  # noqa: BLE001  # the store may be third-party code
        failure = store_failure(store, error)
    else:
        if objection is None:
            return
        failure = StoreConflictError(
            f"{place} {objection}: choose another store, or allow to overwrite it (replace=True,"
            " or --replace)",
            store=place,
        )
    raise failure


async def _objection(store: Store) -> str | None:
    if not store.readable:
        return "cannot be read with these rights, so a secret in it would be overwritten unseen"
    if (await store.read()).secret is not None:
        return "already holds a secret, which would be overwritten"
    return None


def checked_store(into: Store | str) -> Store:
    """Return the store that an argument gives."""
    store = open_store(into) if isinstance(into, str) else into
    if not isinstance(store, Store):
        raise InvalidArgumentError(
            f"into must be a store or its address, not of type {type(store).__name__}"
        )
    return store


def check_options(create: Callable[..., object], name: str, options: dict[str, Any]) -> None:
    """Check that `create` accepts these arguments."""
    try:
        inspect.signature(create).bind(name, timeout=1.0, **options)
    except TypeError as error:
        reason = str(error)
    else:
        return
    raise InvalidArgumentError(f"create() of these keys does not accept these arguments: {reason}")
