"""The base of a service's collections of keys: what they say, and how their creates are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from agentkeys.credentials import names_of
from agentkeys.forks import Unpicklable
from agentkeys.keys import KeyCollection, NewKey, Scope
from agentkeys.retry import RetryPolicy
from agentkeys.transport.call.endpoint import Endpoint, Place, build
from agentkeys.transport.reading.json import as_text
from agentkeys.transport.session import Session

if TYPE_CHECKING:
    from agentkeys.credentials import Credentials
    from agentkeys.secret import Secret
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
        settings = self._session.settings
        account, *also = names_of(self._session.credentials) or ("",)
        return Scope(
            service=settings.service.name,
            realm=settings.base_url,
            kind=self._place.kind,
            id=_id_of(self._place),
            surface=self._place.surface,
            account=account,
            also=tuple(also),
        )

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

    def _with(self, token: Secret) -> Self:
        """Return these keys as whoever bears *token* sees them."""
        keys = object.__new__(type(self))
        vars(keys).update(vars(self), _session=self._session.bearing(token))
        return keys

    @property
    def _credentials(self) -> Credentials:
        """Where the token comes from that is sent."""
        return self._session.credentials

    async def _prove(self, timeout: float) -> bool:
        """Make the cheapest call that only a known key may make; False if there is none.

        A service whose keys may call one says so here: by it `rotate` sees that a new key works.
        """
        del timeout
        return False

    def _may_be(self, key: Any, secret: Secret) -> bool:
        """Whether what the service tells of a key does not rule out that this is its secret."""
        del key, secret
        return True

    def _inherited(self, key: Any) -> dict[str, Any]:
        """Return what `create` must be given so that a new key may do no more than this one.

        Raises:
            InvalidArgumentError: these keys cannot be limited so.

        """
        del key
        return {}

    @property
    def timeout(self) -> float:
        """Seconds that a call may take if nothing else is said."""
        return self._session.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""
        return self._session.retry


def _id_of(place: Place[Any]) -> str:
    """Return what tells a place from others of its kind: all ids that its creates send."""
    request = build(place.create, place.path, {}, place.body or None)  # each can be sent
    ids = {**place.path, **(request.json or {})}
    match [*ids.values()]:
        case []:
            return ""
        case [str() as only]:
            return only
    return as_text(ids)


async def whose(keys: KeyCollection[Any, Any, Any], scope: Scope, timeout: float) -> Scope:
    """Return the *scope* of *keys* with all names of its account, once a token is there."""
    if isinstance(keys, Keys):
        await keys._log_in(timeout)  # noqa: SLF001  # it is no part of the surface
    return scope.named_as(keys.scope)
