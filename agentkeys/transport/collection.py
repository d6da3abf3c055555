"""The base of a service's collections of keys: what they say, and how their creates are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from agentkeys.forks import Unpicklable
from agentkeys.keys import KeyCollection, NewKey, Scope
from agentkeys.retry import RetryPolicy
from agentkeys.transport.call.endpoint import Endpoint, Place
from agentkeys.transport.session import Session

if TYPE_CHECKING:
    from agentkeys.transport.call.progress import Shelter

__all__ = ["Endpoint", "Keys", "Place", "whose"]

MadeT = TypeVar("MadeT", bound="NewKey[Any]")


class Keys(ABC, Unpicklable, Generic[MadeT]):
    """The base of a service's collections of keys: what they all say of themselves.

    A create goes through `_make`, which sends what the place adds. So `scope` tells the keys of two
    collections apart, whatever it is that their creates differ in.
    """

    _instead = "take the collection from its client again"

    def __init__(self, session: Session, place: Place[MadeT]) -> None:
        self._session = session
        self._place = place

    @property
    def scope(self) -> Scope:
        """Whose keys these are."""
        return self._session.scope(self._place)

    @abstractmethod
    async def delete(self, key_id: Any, /, *, timeout: float | None = None) -> None:
        """Delete a key for good."""

    async def _make(self, name: str, own: Mapping[str, object], timeout: float | None) -> MadeT:
        """Make a key, of which *own* is what its body has beside that of the place."""
        return await self._session.create(
            self._place, name=name, json=own, delete=self.delete, timeout=timeout
        )

    async def _log_in(self, timeout: float) -> None:
        """Get a token if there is none, so that `scope` has all names of the account."""
        await self._session.log_in(timeout)

    def _sheltered(self, shelter: Shelter) -> Self:
        """Return these keys, but that their `create` runs in *shelter*, not in one of its own."""
        keys = object.__new__(type(self))
        vars(keys).update(vars(self), _session=self._session.sheltered(shelter))
        return keys

    @property
    def timeout(self) -> float:
        """Seconds that a call may take if nothing else is said."""
        return self._session.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""
        return self._session.retry


async def whose(keys: KeyCollection[Any, Any, Any], scope: Scope, timeout: float) -> Scope:
    """Return the *scope* of *keys* with all names of its account, once a token is there."""
    if isinstance(keys, Keys):
        await keys._log_in(timeout)  # noqa: SLF001  # it is no part of the surface
    return scope.named_as(keys.scope)
