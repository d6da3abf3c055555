"""`lease`: a key for as long as a block of code runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from agentkeys import arguments
from agentkeys.cancellation import Waiting
from agentkeys.errors import InvalidArgumentError, OrphanKeyError
from agentkeys.keys import KeyCollection, NewKey, Scope, checked_collection
from agentkeys.lifecycle.driving.driver import drive
from agentkeys.lifecycle.driving.hands import ServiceHands
from agentkeys.lifecycle.driving.making import IssuingHands
from agentkeys.lifecycle.issuing import Issuing, check_options
from agentkeys.lifecycle.journal import Owned
from agentkeys.lifecycle.machine import events
from agentkeys.lifecycle.machine.states import Dropping, Plan
from agentkeys.lifecycle.outcomes import heard
from agentkeys.lifecycle.remembering import Given, opened, sealed
from agentkeys.masking import mask
from agentkeys.stores import ANY, MemoryStore

if TYPE_CHECKING:
    from agentkeys.lifecycle.driving.driver import Outcome
    from agentkeys.lifecycle.journal import Journal

__all__ = ["Lease", "lease"]

NewKeyT = TypeVar("NewKeyT", bound="NewKey[Any]")

logger: Final = logging.getLogger("agentkeys")


def lease(
    keys: KeyCollection[Any, Any, NewKeyT],
    name: str,
    *,
    timeout: float | None = None,
    scope: Scope | None = None,
    journal: Given = None,
    **options: Any,
) -> Lease[NewKeyT]:
    """Create a key that lives as long as a block of code runs.

    Use it as ``async with lease(keys, "worker-7") as new:``.

    The block gets the new key with its secret, which is stored nowhere. At the end of the block the
    key is deleted, even if the block fails or is cancelled. If this process dies, the next `sweep`
    on this machine deletes the key. Lost answers are handled as by `issue`.

    Args:
        keys: the collection in which to create the key, e.g.
            ``agentry.inbox("support@acme.to").api_keys``.
        name: the name of the key; a nonce is added to it.
        timeout: seconds to create the key, and again to delete it; defaults to the client's
            timeout.
        scope: the scope of the keys, for a service whose address changes; defaults to
            ``keys.scope``.
        journal: what remembers the keys, or its address; that of the environment if None.
        **options: further arguments of `create`, e.g. ``permissions``.

    Raises:
        RequestError, OrphanKeyError, ConfigurationError: at the beginning, as from `issue`.
        OrphanKeyError: at the end, if the key could not be deleted; `sweep` deletes it later. If
            the block has failed, its error is raised instead, and a log line names the key.
        InvalidArgumentError: no request was sent.
    """
    journal = sealed(journal)
    checked_collection(keys, "lease", blocking=False)
    name = arguments.text("name", name)
    check_options(keys.create, name, options)
    seconds = keys.timeout if timeout is None else arguments.timeout(timeout)
    plan = Plan(scope or keys.scope, name)
    return Lease(partial(_Leasing, keys, plan, options, seconds, opened(journal)))


class Lease(Generic[NewKeyT]):
    """A key that is created at the beginning of a block and deleted at its end; see `lease`."""

    def __init__(self, begin: Callable[[], _Leasing]) -> None:
        self._begin = begin
        self._leasing: _Leasing | None = None

    async def __aenter__(self) -> NewKeyT:
        if self._leasing is not None:
            raise InvalidArgumentError("this lease was already used: call lease() for each key")
        self._leasing = self._begin()
        new: NewKeyT = await self._leasing.lent()
        return new

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._leasing is not None  # noqa: S101  # a block that ends has begun
        failure = await self._leasing.returned()
        if failure is None:
            return
        if error is None:
            raise failure
        logger.warning("%s", failure)

    def __repr__(self) -> str:
        return "<Lease: `async with` it>"


class _LeasingHands(IssuingHands[Any]):
    """Creates a key, and returns it with its secret."""

    def _as_returned(self, made: NewKey[Any]) -> Any:
        return made


class _Leasing(Issuing[Any]):
    """One lease: it drives entries until there is a key, and owns the entry of that key."""

    _kind_of_hands = _LeasingHands

    def __init__(
        self,
        keys: KeyCollection[Any, Any, Any],
        plan: Plan,
        options: dict[str, Any],
        seconds: float,
        journal: Journal,
    ) -> None:
        # A plan without a store writes to no store, so this one stays empty.
        super().__init__(
            keys,
            plan,
            MemoryStore(),
            expected=ANY,
            options=options,
            seconds=seconds,
            journal=journal,
        )
        self._owned: Owned | None = None

    async def lent(self) -> Any:
        """Create the key, and return it with its secret."""
        try:
            _, new = await self._ended()
        except BaseException:  # e.g. a cancellation while the key was being created
            failure = await self.returned()
            if failure is not None:
                logger.warning("%s", failure)
            raise
        return new

    async def returned(self) -> OrphanKeyError | None:
        """Delete the key, if there is one; return the error if that failed."""
        owned, self._owned = self._owned, None
        if owned is None or not isinstance(owned.entry.state, Dropping):
            return None
        with Waiting(self._seconds) as waiting:
            hands: ServiceHands[Any] = ServiceHands(self._keys, self._plan.scope, waiting)
            outcome = await drive(owned, events.Resumed(), hands, waiting)
            failure = _not_deleted(outcome) if heard.leaves_a_key(outcome) else None
            if failure is not None and waiting.cancellation is not None:
                logger.warning("%s", failure)
        return failure

    async def _see_the_store(self) -> None:
        """Do nothing: a lease has no store."""

    async def _begun(self) -> Owned:
        self._owned = await super()._begun()
        return self._owned


def _not_deleted(outcome: Outcome) -> OrphanKeyError:
    name = mask(outcome.entry.name)
    why = heard.reason(outcome) or "the reason is not known"
    return OrphanKeyError(
        f"the leased key {name!r}, id {outcome.entry.key_id}, was not deleted: {why}: run"
        " `agentkeys sweep` when the service answers again",
        name=outcome.entry.name,
        key_id=outcome.entry.key_id,
    )
