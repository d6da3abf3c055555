"""The base class of a service's collections of keys."""

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
    """The base class of a service's collections of keys.

    A `create` of a subclass calls `_make`, which adds what the place sends. So `scope`
    distinguishes two collections by whatever their creates differ in.
    """

    _instead = "take the collection from its client again"

    def __init__(self, session: Session, place: Place[MadeT]) -> None:
        self._session = session
        self._place = place

    @property
    def scope(self) -> Scope:
        """The account, inbox, pod or tenant that has these keys."""
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
        """Delete a key permanently."""

    async def _make(self, name: str, own: Mapping[str, object], timeout: float | None) -> MadeT:
        """Create a key; *own* is the part of the body that the place does not add."""
        return await self._session.create(
            self._place, name=name, json=own, delete=self.delete, timeout=timeout
        )

    async def _log_in(self, timeout: float) -> None:
        """Fetch a token if there is none, so that `scope` has all names of the account."""
        await self._session.log_in(timeout)

    def _sheltered(self, shelter: Shelter) -> Self:
        """Return these keys with a `create` that runs in *shelter*, not in a shelter of its own."""
        keys = object.__new__(type(self))
        vars(keys).update(vars(self), _session=self._session.sheltered(shelter))
        return keys

    def _with(self, token: Secret) -> Self:
        """Return these keys with *token* as the credentials."""
        keys = object.__new__(type(self))
        vars(keys).update(vars(self), _session=self._session.bearing(token))
        return keys

    @property
    def _credentials(self) -> Credentials:
        """The credentials that the requests are sent with."""
        return self._session.credentials

    async def _prove(self, timeout: float) -> bool:
        """Make the cheapest call that needs a valid key; return False if there is no such call.

        If the service's keys may call one, a subclass overrides this; `rotate` uses it to verify a
        new key.
        """
        del timeout
        return False

    def _may_be(self, key: Any, secret: Secret) -> bool:
        """Whether this secret may belong to *key*, by what the service lists of the key."""
        del key, secret
        return True

    def _inherited(self, key: Any) -> dict[str, Any]:
        """Return the arguments for `create` so that a new key may do no more than this one.

        Raises:
            InvalidArgumentError: these keys cannot be limited so.
        """
        del key
        return {}

    @property
    def timeout(self) -> float:
        """Seconds for a whole call, unless the call says otherwise."""
        return self._session.timeout

    @property
    def retry(self) -> RetryPolicy:
        """When a call retries its request."""
        return self._session.retry


def _id_of(place: Place[Any]) -> str:
    """Return an id for a place among those of its kind: all ids that its creates send."""
    request = build(place.create, place.path, {}, place.body or None)  # each can be sent
    ids = {**place.path, **(request.json or {})}
    match [*ids.values()]:
        case []:
            return ""
        case [str() as only]:
            return only
    return as_text(ids)


async def whose(keys: KeyCollection[Any, Any, Any], scope: Scope, timeout: float) -> Scope:
    """Return the *scope* of *keys* with all names of its account, after fetching a token."""
    if isinstance(keys, Keys):
        await keys._log_in(timeout)  # noqa: SLF001  # internal to the package
    return scope.named_as(keys.scope)
