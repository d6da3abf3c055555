"""What every service's keys have in common, for code that serves several services."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, runtime_checkable

import attrs

from agentkeys.forks import Unpicklable
from agentkeys.paging import Pager
from agentkeys.secret import Secret
from agentkeys.transport.retry import RetryPolicy
from agentkeys.transport.session import Session

if TYPE_CHECKING:
    from agentkeys.transport.shelter import Shelter

__all__ = ["Key", "KeyCollection", "Keys", "NewKey", "Record", "Scope", "listed"]

IdT_contra = TypeVar("IdT_contra", contravariant=True)
KeyT_co = TypeVar("KeyT_co", bound="Key[Any]", covariant=True)
NewKeyT_co = TypeVar("NewKeyT_co", bound="NewKey[Any]", covariant=True)
IdT_co = TypeVar("IdT_co", covariant=True)


T = TypeVar("T")


@attrs.frozen
class Scope:
    """Whose keys a collection holds: what tells it from every other one.

    Attributes:
        service: the service's name.
        base_url: where the service is.
        path: the collection's path below that, percent-encoded.
        account: whose credentials see it: an email, or what a token says, but never a secret.
    """

    service: str
    base_url: str
    path: str
    account: str


class Record:
    """The base of a service's keys, which show as a table in a notebook."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from agentkeys import notebook

        return notebook.table([self], notebook.now())


class Keys(Unpicklable):
    """The base of a service's collections of keys: what they all say of themselves."""

    _instead = "take the collection from its client again"

    def __init__(self, session: Session) -> None:
        self._session = session

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


def listed(new: Any, kind: type[T]) -> T:
    """Return a new key as a record of *kind*, which lists it: without its secret."""
    known = attrs.asdict(new, recurse=False)
    names = (field.name for field in attrs.fields(kind))  # type: ignore[arg-type]  # records are attrs classes
    return kind(**{name: known[name] for name in names if name in known})


class Key(Protocol[IdT_co]):
    """A key as a service lists it: without its secret."""

    @property
    def id(self) -> IdT_co:
        """What the key is deleted by."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def created_at(self) -> datetime:
        """When it was made; the time is aware."""


class NewKey(Key[IdT_co], Protocol[IdT_co]):
    """A key as it is made: the only time that its secret is told."""

    @property
    def secret(self) -> Secret:
        """What the key's bearer presents."""

    def listed(self) -> Key[IdT_co]:
        """Return the key as it is listed: without its secret."""


@runtime_checkable
class KeyCollection(Protocol[IdT_contra, KeyT_co, NewKeyT_co]):
    """The keys of an account, an inbox, a pod or a tenant."""

    @property
    def scope(self) -> Scope:
        """Whose keys these are."""

    @property
    def timeout(self) -> float:
        """Seconds that a call may take if nothing else is said."""

    @property
    def retry(self) -> RetryPolicy:
        """When to try again."""

    async def create(self, name: str, /, *, timeout: float | None = None) -> NewKeyT_co:
        """Make a key."""

    def list(self, *, timeout: float | None = None) -> Pager[KeyT_co]:
        """List the keys."""

    async def delete(self, key_id: IdT_contra, /, *, timeout: float | None = None) -> None:
        """Delete a key for good."""
